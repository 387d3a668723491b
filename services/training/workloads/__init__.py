"""What can be trained, by name. Looking a workload up loads its declaration, never the libraries it trains with."""

from importlib import import_module

from services.training.domain.errors import UnknownWorkload
from services.training.domain.ports import Workload

# Name to module and class.
DECLARED = {"tabular": ("services.training.workloads.tabular.workload", "TabularWorkload")}


def workload_named(name: str) -> Workload:
    """The workload of a name; UnknownWorkload where there is none."""
    if name not in DECLARED:
        raise UnknownWorkload(name=name, known=", ".join(sorted(DECLARED)))
    module, kind = DECLARED[name]
    workload: Workload = getattr(import_module(module), kind)()
    return workload


def all_workloads() -> list[Workload]:
    """Every workload, in the order of their names."""
    return [workload_named(name) for name in sorted(DECLARED)]
