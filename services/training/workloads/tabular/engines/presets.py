"""What AutoGluon's presets bring along, from its own tables."""

from typing import Any

from autogluon.tabular.configs.hyperparameter_configs import get_hyperparameter_config
from autogluon.tabular.configs.presets_configs import tabular_presets_dict

from services.training.workloads.tabular.parameters import Parameters


def preset_callbacks(parameters: Parameters) -> list[Any]:
    """The callbacks of the presets of settled parameters; ours would take their place."""
    found: list[Any] = []
    for preset in _presets(parameters):
        found = preset.get("callbacks", found)
    return list(found)


def hyperparameters_of(parameters: Parameters) -> str | dict[str, Any]:
    """The hyperparameters that AutoGluon will use: what was asked for, or what the presets say."""
    if parameters.hyperparameters is not None:
        return parameters.hyperparameters
    found: str | dict[str, Any] = "default"
    for preset in _presets(parameters):
        found = preset.get("hyperparameters") or found
    return found


def families_of(hyperparameters: str | dict[str, Any]) -> list[str]:
    """The families that hyperparameters name."""
    if isinstance(hyperparameters, str):
        hyperparameters = get_hyperparameter_config(hyperparameters)
    return [family for family in hyperparameters if isinstance(family, str)]


def _presets(parameters: Parameters) -> list[dict[str, Any]]:
    names = [parameters.presets] if isinstance(parameters.presets, str) else parameters.presets
    return [tabular_presets_dict[name] for name in names]
