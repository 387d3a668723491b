"""Trains the tabular workload in this process and keeps what it tells."""

import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.training.domain.model import (
    DatasetSource,
    Metric,
    ProblemType,
    Progress,
    TableFormat,
    TrainingPlan,
    TrainingResult,
    TrainingSpec,
)
from services.training.workloads import workload_named


def spec_of(
    target: str = "", problem_type: ProblemType | None = None, format_: TableFormat | None = None, **parameters: Any
) -> TrainingSpec:
    """A training of any dataset."""
    source = DatasetSource("dataset-1", "datasets", "a/b.csv", format=format_)
    return TrainingSpec("trial", "tabular", source, target, problem_type, parameters, "A trial")


def check(data: Path, **asked: Any) -> TrainingPlan:
    """What a training of a file would do."""
    return workload_named("tabular").check(spec_of(**asked), data)


@dataclass
class Trial:
    """A training that ran: what it told, what it gave, and its package, unpacked."""

    folder: Path
    progress_told: list[Progress] = field(default_factory=list)
    told_at: list[float] = field(default_factory=list)
    """When each of these was told."""
    metrics_told: list[Metric] = field(default_factory=list)
    result: TrainingResult | None = None

    @property
    def package(self) -> Path:
        return self.folder / "unpacked"

    def progress(self, progress: Progress) -> None:
        self.progress_told.append(progress)
        self.told_at.append(time.monotonic())

    def metric(self, metric: Metric) -> None:
        self.metrics_told.append(metric)


def train(data: Path, folder: Path, **asked: Any) -> Trial:
    """Train on a file, with the parameters of spec_of, and unpack the package."""
    trial = Trial(folder)
    trial.result = workload_named("tabular").train(spec_of(**asked), data, folder, trial)
    with zipfile.ZipFile(folder / "artifact.zip") as archive:
        archive.extractall(trial.package)
    return trial
