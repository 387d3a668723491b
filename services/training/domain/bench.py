"""Where a task meets its data: the dataset is brought to a folder, then a worker process is set on it."""

from collections.abc import Callable
from pathlib import Path

from servicekit.scratch import scratch_folder
from services.training.domain.fetching import fetch
from services.training.domain.messages import A, Task
from services.training.domain.model import DatasetSource, Metric, Progress, Stage
from services.training.domain.ports import DatasetReader, Executor
from services.training.domain.slots import Slots

FETCHING = Progress(0.01, Stage.PREPARING, "Fetching the dataset.")
FETCHED = Progress(0.05, Stage.PREPARING, "The dataset is here; starting the worker process.")


class Bench:
    """Does tasks on stored datasets."""

    def __init__(self, datasets: DatasetReader, executor: Executor) -> None:
        self._datasets = datasets
        self._executor = executor

    async def work(
        self, task: Task[A], source: DatasetSource, folder: Path, tell: Callable[[Progress | Metric], None]
    ) -> tuple[A, str]:
        """Do a task in a folder; its answer, and the SHA-256 of the dataset as it was read."""
        tell(FETCHING)
        sha256 = await fetch(self._datasets, source, folder / "dataset")
        tell(FETCHED)
        return await self._executor.run(task, folder, tell), sha256


class SideBench:
    """Does short tasks beside the trainings, so that looking at a dataset never waits for a model."""

    def __init__(self, bench: Bench, root: Path, slots: Slots) -> None:
        self._bench = bench
        self._root = root
        self._slots = slots

    async def work(self, task: Task[A], source: DatasetSource, prefix: str) -> A:
        """Do a task in a temporary folder whose name starts with prefix. Raises QueueFull."""
        async with self._slots.turn(), scratch_folder(self._root, prefix) as folder:
            answer, _ = await self._bench.work(task, source, folder, lambda _: None)
            return answer
