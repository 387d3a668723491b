"""What can be trained, by name: every workload that an installed distribution declares as an entry point of the group
`modelyard.workloads`, ours among them. Looking one up loads its declaration, never the libraries it trains with."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from services.training.domain.errors import PackageBroken, UnknownWorkload
from services.training.domain.ports import PackagedModel, Workload
from services.training.workloads.kit.opening import unpack
from services.training.workloads.kit.rows import ByRows

GROUP = "modelyard.workloads"
OURS = "modelyard"

# Of packages that were made when there was only one.
FIRST = "tabular"


def workload_named(name: str) -> Workload:
    """The workload of a name; UnknownWorkload where there is none."""
    if name not in _declared():
        raise UnknownWorkload(name=name, known=", ".join(sorted(_declared())))
    workload: Workload = _declared()[name].load()()
    return workload


def load_package(archive: Path, folder: Path) -> PackagedModel:
    """The model of a package, unpacked into a folder; PackageBroken where it is not what was packaged."""
    manifest = unpack(archive, folder / "package")
    name = manifest.get("workload", FIRST)
    if name not in _declared():
        raise PackageBroken(trouble=f"it needs the workload {name!r}, which is not installed here")
    try:
        model = workload_named(name).load(folder / "package", manifest)
    except ImportError as error:
        raise PackageBroken(trouble=f"it needs a library that is not installed here ({error.name})") from error
    return model if model.takes_columns else ByRows(model)


def all_workloads() -> list[Workload]:
    """Every workload, in the order of their names; one that cannot be made, or calls itself by another name than its
    entry point, is left out, and the log says why."""
    # Here, because a worker, which does not log, waits for all that this module imports.
    from servicekit.logging import get_logger

    found = []
    for name in sorted(_declared()):
        try:
            found.append(_under_its_name(name))
        except (Exception, SystemExit) as error:  # noqa: BLE001 (what others installed fails in any way, alone)
            source, reason = _declared()[name].value, f"{type(error).__name__}: {error}"
            get_logger().error("workload left out", name=name, source=source, reason=reason)
    return found


def _under_its_name(name: str) -> Workload:
    workload = workload_named(name)
    if workload.name != name:
        raise ValueError(f"its class has the name {workload.name!r}; give it the name of its entry point")
    return workload


@cache
def _declared() -> dict[str, EntryPoint]:
    """Ours go before others of the same name, whoever installed them."""
    found = sorted(entry_points(group=GROUP), key=lambda point: point.dist is not None and point.dist.name == OURS)
    return {point.name: point for point in found}
