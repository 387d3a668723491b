"""What training needs of the world, and what the world may plug into it."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Protocol

from services.training.domain.answers import Answers, AnswersHeader, RowsHeader
from services.training.domain.elsewhere import Arrival, KaggleCredentials, KaggleWish
from services.training.domain.inspection import Inspection
from services.training.domain.messages import A, Task
from services.training.domain.model import (
    DatasetSource,
    FinishedTraining,
    Metric,
    Progress,
    Resources,
    TrainingPlan,
    TrainingResult,
    TrainingSpec,
)

Event = Progress | Metric | TrainingResult


class Reporter(Protocol):
    """Takes what a workload has to tell while it runs."""

    def progress(self, progress: Progress) -> None:
        """Tell how far it is."""

    def metric(self, metric: Metric) -> None:
        """Tell a number measured on the way."""


class Workload(Protocol):
    """Something that can be trained; docs/workloads.md tells how to add one. It is declared as an entry point, made
    without arguments, and imports what it trains with only in `check`, `train` and `load`, which run in a worker
    process and may take their time."""

    name: str
    """As its entry point."""
    description: str
    inputs: tuple[str, ...]
    """Kinds of dataset that it trains on: table, archive."""
    outputs: tuple[str, ...]
    """Problem types that its models solve."""

    def parameters_schema(self) -> dict[str, Any]:
        """JSON schema (2020-12) of the parameters."""

    def availability(self) -> tuple[list[str], list[str]]:
        """Names of the parts that are installed here, and of those that are not."""

    def resources(self, parameters: dict[str, Any]) -> Resources:
        """What a training with such parameters asks for; they may be wrong, since nobody has checked them yet."""

    def check(self, spec: TrainingSpec, data: Path) -> TrainingPlan:
        """Settle target, problem type and engine from the data; an InvalidInput or NotReady where it cannot be."""

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        """Train on a data file and write the packaged model to `folder / "artifact.zip"`; nothing outside folder."""

    def load(self, package: Path, manifest: dict[str, Any]) -> "PackagedModel":
        """The model of an unpacked package whose files were checked; an ImportError names a library that it lacks."""


class PackagedModel(Protocol):
    """A model out of a package, loaded in the worker process."""

    takes_columns: bool
    """Whether it answers for RowFormat.COLUMNS, and refuses those that are not as `columns_format` tells; they reach it
    as rows in JSON otherwise."""

    def answer(self, rows: RowsHeader, content: BufferedIOBase) -> tuple[AnswersHeader, bytes]:
        """What it answers for rows, as a header and the bytes that it announces; an InvalidInput for bad rows. They can
        be read while they arrive."""


class DatasetReader(Protocol):
    """Reads stored datasets."""

    def read(self, source: DatasetSource) -> AsyncIterator[bytes]:
        """The bytes of a dataset, in order."""


class Executor(Protocol):
    """Does what takes long in a process of its own."""

    async def run(self, task: Task[A], folder: Path, tell: Callable[[Progress | Metric], None]) -> A:
        """Do a task on `folder / "dataset"`, writing nothing outside folder; tell is called with what it reports.

        Cancelling it kills the process with all that it started, and returns when they are gone. Raises the Problem
        that the task raised, WorkerDied when the process ended without an answer, and WorkerBroke when the task
        failed in a way nobody foresaw.
        """


class WarmModel(Protocol):
    """A loaded model in a process of its own. It answers one call at a time."""

    @property
    def alive(self) -> bool:
        """Whether it can answer; not once it has died or a call was broken off."""

    async def predict(self, rows: RowsHeader, content: AsyncIterator[bytes]) -> Answers:
        """What it answers for rows, which it is given as they arrive. Raises an InvalidInput for bad rows, WorkerDied,
        WorkerBroke, and what keeps rows from arriving."""


class ModelHost(Protocol):
    """Loads packaged models."""

    def load(self, folder: Path) -> AbstractAsyncContextManager[WarmModel]:
        """The model of the package `folder / "package.zip"`, loaded for the block. Raises PackageBroken, WorkerDied and
        WorkerBroke."""


class Shelf(Protocol):
    """Keeps the folders of trainings: finished ones until they are removed, unfinished ones only while in use."""

    def finished(self, training_id: str) -> FinishedTraining | None:
        """What was trained and what it gave; None when nothing is kept."""

    def folder(self, spec: TrainingSpec) -> AbstractAsyncContextManager[Path]:
        """A new folder for a training, removed at the end of the block unless it was kept."""

    async def keep(self, finished: FinishedTraining) -> None:
        """Make a training finished, durably, with its artifact; its working files go."""

    async def remove(self, training_id: str) -> int:
        """Remove what is kept of a training; the bytes freed, 0 when nothing was."""

    async def remove_older(self, hours: float) -> int:
        """Remove every training that was finished longer ago, since nobody asks for it any more; how many went."""

    def read(self, training_id: str) -> AsyncGenerator[bytes, None]:
        """The artifact of a finished training in chunks of at most 256 KiB; raises ArtifactNotFound."""


class Tombstones(Protocol):
    """Remembers for a day, beyond a restart, which trainings were cancelled."""

    def has(self, training_id: str) -> bool:
        """Whether it was cancelled."""

    async def add(self, training_id: str) -> None:
        """Remember it from this moment on; durable on return."""


class InspectionCache(Protocol):
    """Remembers some inspections."""

    async def get(self, name: str) -> Inspection | None:
        """What was put under a name, if it is still remembered."""

    async def put(self, name: str, inspection: Inspection) -> None:
        """Remember it, for as long as there is room."""


class KaggleDatasets(Protocol):
    """Datasets of Kaggle."""

    def open(self, wish: KaggleWish, credentials: KaggleCredentials | None) -> AbstractAsyncContextManager[Arrival]:
        """A file for the block, with these credentials or those of the service. Raises the errors of
        domain.elsewhere that speak of Kaggle, WorkerDied and WorkerBroke."""


class WebFiles(Protocol):
    """Files on the web."""

    def open(self, url: str) -> AbstractAsyncContextManager[Arrival]:
        """A file for the block. Raises the errors of domain.elsewhere that speak of addresses and hosts."""
