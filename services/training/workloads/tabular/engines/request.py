"""What AutoGluon is asked for, in its own words. AutoGluon itself is not imported, which would take seconds."""

import re
from typing import Any

from services.training.domain.errors import FamiliesUnavailable
from services.training.workloads.tabular.engines.families import FAMILIES, key_of, lacking, not_installed
from services.training.workloads.tabular.engines.names import ALIASES, HYPERPARAMETERS, PRESETS
from services.training.workloads.tabular.parameters import FIT_OPTIONS, Parameters, wrong

# Random forests fill the package with hundreds of megabytes and seldom win.
EXCLUDED = ["RF", "XT"]

PASSED_ON = (*FIT_OPTIONS, "presets", "time_limit", "hyperparameters", "included_model_types")

# Options by which libraries would read or write files, call others or run code of their own.
UNSAFE = re.compile(
    r"(.*[._])?(path|file|filename|dir|url|uri|host|hosts|port|machines|callbacks?)|config|task|mlist|nodes|workers"
    r"|(input|output)_model|model_(in|out|input|output)"
)
# Options that become part of a model's name, and with it of its folder's.
NAMES = {"name", "name_main", "name_prefix", "name_suffix", "name_bag_suffix"}
NAME = re.compile(r"(?!\.+$)[^/\\\0]{0,100}")


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
    named = settled.hyperparameters
    refuse_unavailable(settled, list(named) if isinstance(named, dict) else list(FAMILIES))
    return settled


def refuse_unavailable(parameters: Parameters, families: list[str]) -> None:
    """Raise FamiliesUnavailable where none of some families is left in by settled parameters and installed."""
    asked = families_asked(parameters, families)
    if not asked:
        raise wrong("included_model_types and excluded_model_types leave no family to fit")
    if not set(asked) - set(not_installed(asked)):
        needs = sorted({module for family in asked for module in lacking(family)})
        raise FamiliesUnavailable(families=", ".join(sorted(asked)), needs=", ".join(needs))


def fit_options(parameters: Parameters) -> dict[str, Any]:
    """Arguments of AutoGluon's fit for settled parameters. What is not installed is left out from the start."""
    given = {name: getattr(parameters, name) for name in PASSED_ON}
    # A None would go before what the presets say.
    return {name: value for name, value in given.items() if value is not None} | {
        "excluded_model_types": [*(parameters.excluded_model_types or []), *not_installed(FAMILIES)]
    }


def families_asked(parameters: Parameters, families: list[str]) -> list[str]:
    """Of some families those that settled parameters leave in."""
    excluded, included = parameters.excluded_model_types or [], parameters.included_model_types
    return [name for name in families if name not in excluded and (included is None or name in included)]


def _settle_presets(presets: str | list[str]) -> str | list[str]:
    names = [ALIASES.get(name, name) for name in ([presets] if isinstance(presets, str) else presets)]
    if unknown := [name for name in names if name not in PRESETS]:
        raise wrong(f"presets: there is no {unknown[0]!r}; AutoGluon knows {', '.join([*PRESETS, *ALIASES])}")
    return names[0] if isinstance(presets, str) else names


def _settle_hyperparameters(asked: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    if isinstance(asked, str) and asked not in HYPERPARAMETERS:
        raise wrong(f"hyperparameters: there is no {asked!r}; AutoGluon knows {', '.join(HYPERPARAMETERS)}")
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
        if name in NAMES and not NAME.fullmatch(str(inner)):
            raise wrong(f"hyperparameters: {name!r} becomes a folder's name: give at most 100 letters and no slash")
        _refuse_unsafe(inner)


def _settle_excluded(parameters: Parameters) -> list[str]:
    if parameters.excluded_model_types is not None:
        return _settle_families("excluded_model_types", parameters.excluded_model_types) or []
    asked = parameters.hyperparameters is not None or parameters.included_model_types is not None
    return [] if asked else EXCLUDED


def _settle_families(where: str, names: list[str] | None) -> list[str] | None:
    if names is None:
        return None
    if unknown := [name for name in names if not key_of(name)]:
        known = ", ".join(f"{key} ({family.name})" for key, family in FAMILIES.items())
        raise wrong(f"{where}: there is no family {unknown[0]!r}; AutoGluon knows {known}")
    return [key for name in names if (key := key_of(name))]
