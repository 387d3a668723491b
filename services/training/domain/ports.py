"""What training needs of the world, and what the world may plug into it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from services.training.domain.model import DatasetSource, Metric, Progress, TrainingPlan, TrainingResult, TrainingSpec

Event = Progress | Metric | TrainingResult


class Reporter(Protocol):
    """Takes what a workload has to tell while it runs."""

    def progress(self, progress: Progress) -> None:
        """Tell how far it is."""

    def metric(self, metric: Metric) -> None:
        """Tell a number measured on the way."""


class Workload(Protocol):
    """Something that can be trained. Its methods run in a worker process and may take their time."""

    name: str
    description: str

    def parameters_schema(self) -> dict[str, Any]:
        """JSON schema (2020-12) of the parameters."""

    def availability(self) -> tuple[list[str], list[str]]:
        """Names of the parts that are installed here, and of those that are not."""

    def check(self, spec: TrainingSpec, data: Path) -> TrainingPlan:
        """Settle target, problem type and engine from the data; an InvalidInput or NotReady where it cannot be."""

    def train(self, spec: TrainingSpec, data: Path, folder: Path, report: Reporter) -> TrainingResult:
        """Train on a data file and write the packaged model to `folder / "artifact.zip"`; nothing outside folder."""


class DatasetReader(Protocol):
    """Reads stored datasets."""

    def read(self, source: DatasetSource) -> AsyncIterator[bytes]:
        """The bytes of a dataset, in order."""
