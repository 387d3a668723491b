"""Which libraries are installed, found out without importing them."""

from collections.abc import Mapping
from importlib.util import find_spec


def is_installed(module: str) -> bool:
    """Whether a module could be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def sort_out(parts: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Of parts, each with the module that proves it: the names of those installed here, and of those that are not."""
    installed = {part: is_installed(module) for part, module in parts.items()}
    return [part for part in parts if installed[part]], [part for part in parts if not installed[part]]
