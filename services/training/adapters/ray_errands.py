"""Trains on a Ray cluster: an errand for each training, a small process of this machine, goes there and back."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from services.training.adapters.limits import Limits
from services.training.adapters.processes import Home, environment, listen, started
from services.training.domain.messages import A, Task, TrainTask
from services.training.domain.model import Metric, Progress, Resources
from services.training.domain.ports import Workload

COMMAND = (sys.executable, "-m", "services.training.errand")


@dataclass(frozen=True)
class Cluster:
    """Where a Ray cluster is, and how to be let in."""

    address: str
    """host:port of its head, for a machine that is a node of it; ray://host:port for every other."""
    token: str = ""
    wait_seconds: float = 3600.0
    """How long a training waits for room."""


@dataclass(frozen=True)
class Order:
    """What an errand is told."""

    address: str
    wait_seconds: float
    home: Home
    resources: Resources
    limits: Limits

    def as_argument(self) -> str:
        """As it is written on a command line; it holds no secret."""
        return json.dumps(asdict(self))

    @classmethod
    def of_argument(cls, argument: str) -> "Order":
        """The order again."""
        order: Order = TypeAdapter(cls).validate_json(argument)
        return order


class RayErrands:
    """Implements Executor for trainings with `python -m services.training.errand`.

    Ray is in no process that serves calls: its own threads and gRPC would be in the way there, and it ends a process
    that loses its cluster. When an errand is killed, the cluster ends what it had begun there.
    """

    def __init__(self, cluster: Cluster, home: Home, declared: Mapping[str, Workload], limits: Limits) -> None:
        self._cluster = cluster
        self._home = home
        self._declared = declared
        self._limits = limits

    async def run(self, task: Task[A], folder: Path, tell: Callable[[Progress | Metric], None]) -> A:
        """Train on the cluster with `folder / "dataset"`; the port says how it ends."""
        if not isinstance(task, TrainTask):
            raise TypeError(f"{type(task).__name__} is nothing to do on a cluster")
        spec = task.spec
        resources = self._declared[spec.workload].resources(spec.parameters)
        home = replace(self._home, threads=max(1, int(resources.cpus)))
        order = Order(self._cluster.address, self._cluster.wait_seconds, home, resources, self._limits)
        command = [*COMMAND, str(folder), order.as_argument()]
        async with started(task, folder, command, self._surroundings(folder)) as (lines, child):
            return await listen(task, lines, child, tell)

    def _surroundings(self, folder: Path) -> dict[str, str]:
        return {
            **environment(folder, threads=1),
            "RAY_AUTH_MODE": "token" if self._cluster.token else "disabled",
            "RAY_AUTH_TOKEN": self._cluster.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            # An errand that is gone never comes back, so what it began may end at once.
            "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "0",
        }
