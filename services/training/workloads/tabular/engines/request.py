"""What AutoGluon is asked for, in its own words. Checked against its own tables, so AutoGluon is imported."""

import re
from typing import Any

from autogluon.tabular.configs.hyperparameter_configs import (
    get_hyperparameter_config,
    get_hyperparameter_config_options,
)
from autogluon.tabular.configs.presets_configs import tabular_presets_alias, tabular_presets_dict
from autogluon.tabular.registry import ag_model_registry

from services.training.domain.errors import FamiliesUnavailable
from services.training.workloads.tabular.engines.families import NEEDS, lacking, not_installed
from services.training.workloads.tabular.parameters import FIT_OPTIONS, Parameters, wrong

# Random forests fill the package with hundreds of megabytes and seldom win.
EXCLUDED = ["RF", "XT"]

PASSED_ON = (*FIT_OPTIONS, "presets", "time_limit", "hyperparameters", "included_model_types")

# Options by which libraries would read or write files, call others or run code of their own.
UNSAFE = re.compile(
    r"(.*[._])?(path|file|filename|dir|url|uri|host|hosts|port|machines|callbacks?)|config|task|mlist|nodes|workers"
    r"|(input|output)_model|model_(in|out|input|output)"
)


def settle(parameters: Parameters) -> Parameters:
    """The parameters with presets and families by AutoGluon's own names, and the families that are left out.

    Raises BadParameters where AutoGluon knows no such name, and FamiliesUnavailable where nothing could be fitted.
    """
    settled = parameters.model_copy(
        update={
            "presets": _settle_presets(parameters.presets),
            "hyperparameters": _settle_hyperparameters(parameters.hyperparameters),
            "included_model_types": _settle_families("included_model_types", parameters.included_model_types),
            "excluded_model_types": _settle_excluded(parameters),
        }
    )
    asked = families_asked(settled, families_of(hyperparameters_of(settled)))
    if not set(asked) - set(not_installed(asked)):
        needs = sorted({module for family in asked for module in lacking(family)})
        raise FamiliesUnavailable(families=", ".join(sorted(asked)) or "none", needs=", ".join(needs) or "others")
    return settled


def fit_options(parameters: Parameters) -> dict[str, Any]:
    """Arguments of AutoGluon's fit for settled parameters. What is not installed is left out from the start."""
    given = {name: getattr(parameters, name) for name in PASSED_ON}
    # A None would go before what the presets say.
    return {name: value for name, value in given.items() if value is not None} | {
        "excluded_model_types": [*(parameters.excluded_model_types or []), *not_installed(NEEDS)]
    }


def preset_callbacks(parameters: Parameters) -> list[Any]:
    """The callbacks that presets bring along; ours would take their place."""
    found: list[Any] = []
    for name in _listed(parameters.presets):
        found = _preset(name).get("callbacks", found)
    return list(found)


def hyperparameters_of(parameters: Parameters) -> str | dict[str, Any]:
    """The hyperparameters that AutoGluon will use: what was asked for, or what the presets say."""
    if parameters.hyperparameters is not None:
        return parameters.hyperparameters
    found: str | dict[str, Any] = "default"
    for name in _listed(parameters.presets):
        found = _preset(name).get("hyperparameters") or found
    return found


def families_of(hyperparameters: str | dict[str, Any]) -> list[str]:
    """The families that hyperparameters name."""
    if isinstance(hyperparameters, str):
        hyperparameters = get_hyperparameter_config(hyperparameters)
    return [family for family in hyperparameters if isinstance(family, str)]


def families_asked(parameters: Parameters, families: list[str]) -> list[str]:
    """Of some families those that settled parameters leave in."""
    excluded, included = parameters.excluded_model_types or [], parameters.included_model_types
    return [name for name in families if name not in excluded and (included is None or name in included)]


def family_of_class(name: str) -> str | None:
    """The key of the family that a class of AutoGluon fits; None for ensembles and what is not a family."""
    return {model.__name__: key for key, model in ag_model_registry.key_to_cls_map().items()}.get(name)


def _listed(presets: str | list[str]) -> list[str]:
    return [presets] if isinstance(presets, str) else presets


def _preset(name: str) -> dict[str, Any]:
    found: dict[str, Any] = tabular_presets_dict[tabular_presets_alias.get(name, name)]
    return found


def _settle_presets(presets: str | list[str]) -> str | list[str]:
    known = {*tabular_presets_dict, *tabular_presets_alias}
    names = [tabular_presets_alias.get(name, name) for name in _listed(presets)]
    if unknown := [name for name in names if name not in known]:
        raise wrong(f"presets: there is no {unknown[0]!r}; AutoGluon knows {', '.join(sorted(known))}")
    return names[0] if isinstance(presets, str) else names


def _settle_hyperparameters(asked: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    known = sorted(get_hyperparameter_config_options())
    if isinstance(asked, str) and asked not in known:
        raise wrong(f"hyperparameters: there is no {asked!r}; AutoGluon knows {', '.join(known)}")
    if not isinstance(asked, dict):
        return asked
    keys = _settle_families("hyperparameters", list(asked)) or []
    if len(set(keys)) < len(keys):
        raise wrong("hyperparameters: a family is there under two names; give it once, with a list of options")
    _refuse_unsafe(asked)
    return dict(zip(keys, asked.values(), strict=True))


def _refuse_unsafe(options: Any) -> None:
    """Look at the names of options, however deep."""
    if isinstance(options, list):
        for each in options:
            _refuse_unsafe(each)
    for name, inner in options.items() if isinstance(options, dict) else ():
        if UNSAFE.fullmatch(str(name).lower()):
            raise wrong(f"hyperparameters: {name!r} names files, machines or code, which a training chooses itself")
        _refuse_unsafe(inner)


def _settle_excluded(parameters: Parameters) -> list[str]:
    if parameters.excluded_model_types is not None:
        return _settle_families("excluded_model_types", parameters.excluded_model_types) or []
    asked = parameters.hyperparameters is not None or parameters.included_model_types is not None
    return [] if asked else EXCLUDED


def _settle_families(where: str, names: list[str] | None) -> list[str] | None:
    if names is None:
        return None
    keys = _keys()
    if unknown := [name for name in names if _folded(name) not in keys]:
        known = ", ".join(f"{key} ({model.ag_name})" for key, model in ag_model_registry.key_to_cls_map().items())
        raise wrong(f"{where}: there is no family {unknown[0]!r}; AutoGluon knows {known}")
    return [keys[_folded(name)] for name in names]


def _keys() -> dict[str, str]:
    """The key of each family by every name that it goes by: its key, its name and its class."""
    by_key = ag_model_registry.key_to_cls_map()
    return {
        **{_folded(model.__name__): key for key, model in by_key.items()},
        **{_folded(model.ag_name): key for key, model in by_key.items()},
        **{_folded(key): key for key in by_key},
    }


def _folded(name: str) -> str:
    return name.strip().casefold()
