"""What can be trained, by name. Looking a workload up loads its declaration, never the libraries it trains with."""

from importlib import import_module
from pathlib import Path

from services.training.domain.errors import UnknownWorkload
from services.training.domain.ports import PackagedModel, Workload

# Name to module and class.
DECLARED = {"tabular": ("services.training.workloads.tabular.workload", "TabularWorkload")}


def workload_named(name: str) -> Workload:
    """The workload of a name; UnknownWorkload where there is none."""
    if name not in DECLARED:
        raise UnknownWorkload(name=name, known=", ".join(sorted(DECLARED)))
    module, kind = DECLARED[name]
    workload: Workload = getattr(import_module(module), kind)()
    return workload


def load_package(archive: Path, folder: Path) -> PackagedModel:
    """The model of a package, unpacked into a folder; PackageBroken where it is not what was packaged."""
    module = import_module("services.training.workloads.tabular.serving")
    model: PackagedModel = module.load_package(archive, folder)
    return model


def all_workloads() -> list[Workload]:
    """Every workload, in the order of their names."""
    return [workload_named(name) for name in sorted(DECLARED)]
