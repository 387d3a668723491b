"""What training is about, in plain values."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class ProblemType(StrEnum):
    """Kinds of answer a model gives."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    OBJECT_DETECTION = "object_detection"


class Stage(StrEnum):
    """What a training is doing."""

    QUEUED = "queued"
    PREPARING = "preparing"
    TRAINING = "training"
    EVALUATING = "evaluating"
    PACKAGING = "packaging"


@dataclass(frozen=True)
class TableFormat:
    """How a text file is to be read as a table."""

    delimiter: str = ","
    encoding: str = "utf-8"


@dataclass(frozen=True)
class DatasetSource:
    """A stored dataset."""

    dataset_id: str
    placement: str
    key: str
    sha256: str = ""
    format: TableFormat | None = None


@dataclass(frozen=True)
class TrainingSpec:
    """What to train. Small and plain, so that it can be handed to another process as JSON."""

    training_id: str
    workload: str
    dataset: DatasetSource
    target: str = ""
    problem_type: ProblemType | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    model_name: str = ""


@dataclass(frozen=True)
class TrainingPlan:
    """What a training would do, settled from the data."""

    target: str
    problem_type: ProblemType
    row_count: int
    feature_count: int
    engine: str


@dataclass(frozen=True)
class Resources:
    """What a training asks for of the machine it runs on; memory in bytes, 0 when it is not known before."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a training is: a fraction from 0 to 1, the stage, and a sentence for a person."""

    fraction: float
    stage: Stage
    message: str


@dataclass(frozen=True)
class Metric:
    """One measured number; split is train, validation or test."""

    name: str
    value: float
    step: int = 0
    split: str = "test"
    measure_time: datetime | None = None


@dataclass(frozen=True)
class LeaderboardEntry:
    """One model that was tried; scores are of the comparing metric, fit time in seconds."""

    model: str
    validation_score: float
    test_score: float
    fit_seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """What a finished training gave."""

    training_id: str
    engine: str
    best_model: str
    target: str
    problem_type: ProblemType
    score_name: str
    score: float
    metrics: list[Metric]
    train_row_count: int
    test_row_count: int
    features: list[str]
    leaderboard: list[LeaderboardEntry]
    unavailable: list[str]
    parameters: dict[str, Any]
    library_versions: dict[str, str]
    artifact_size: int
    artifact_sha256: str
    dataset_sha256: str
    start_time: datetime
    end_time: datetime
    workload: str = ""
    """Set by the service."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """What charts of the held-out data are drawn from, by name; of JSON's kinds only, without NaN."""


@dataclass(frozen=True)
class FinishedTraining:
    """A training that is kept until it is released."""

    spec: TrainingSpec
    metrics: list[Metric]
    """What it told while it ran, in this order."""
    result: TrainingResult
