"""What is learned: experiments, models and their versions, runs with their metrics, predictions."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from services.metadata.domain.declarations import EPOCH, OnDelete, Reference, attribute, entity
from services.metadata.domain.entities.record import ID, NAME, PATH, Record

PROBLEM_TYPES = ("binary", "multiclass", "regression", "object_detection")
LONGEST_MS = 1e12
"""More than any prediction takes, and no infinity."""
SPLITS = ("train", "validation", "test")
VERSION_STATUSES = ("draft", "training", "ready", "failed", "staging", "production", "archived")
EXPERIMENT_STATUSES = ("active", "completed", "archived")


class RunStatus(StrEnum):
    """Life of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


RUN_ENDED = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})


@entity(
    "experiments",
    unique=[("user_id", "name")],
    indexes=[("user_id", "create_time", "id"), ("project_id", "create_time", "id"), ("create_time", "id")],
)
class Experiment(Record):
    """A question that several runs together answer."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    project_id: str | None = attribute(
        default=None, reference=Reference("projects", OnDelete.SET_NULL), max_length=ID, updatable=True
    )
    name: str = attribute(default="", required=True, max_length=NAME, updatable=True, searchable=True)
    description: str = attribute(default="", updatable=True, searchable=True)
    goal: str = attribute(default="", updatable=True, searchable=True)
    conclusion: str = attribute(default="", updatable=True, searchable=True)
    status: str = attribute(default="active", one_of=EXPERIMENT_STATUSES, max_length=NAME, updatable=True)
    tags: dict[str, Any] | None = attribute(default=None, updatable=True)


@entity(
    "models",
    unique=[("user_id", "name")],
    indexes=[("user_id", "create_time", "id"), ("project_id", "create_time", "id"), ("create_time", "id")],
)
class Model(Record):
    """A named model of a user; its versions hold what was trained."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    project_id: str | None = attribute(default=None, reference=Reference("projects", OnDelete.SET_NULL), max_length=ID)
    name: str = attribute(default="", required=True, max_length=NAME, searchable=True)
    latest_version: int = attribute(default=0, output_only=True, minimum=0)
    description: str = attribute(default="", updatable=True, searchable=True)
    kind: str = attribute(default="", max_length=NAME, updatable=True)
    framework: str = attribute(default="", max_length=NAME, updatable=True)
    config: dict[str, Any] | None = attribute(default=None, updatable=True)
    tags: dict[str, Any] | None = attribute(default=None, updatable=True)


@entity(
    "runs",
    indexes=[
        ("user_id", "create_time", "id"),
        ("create_time", "id"),
        ("project_id", "create_time", "id"),
        ("experiment_id", "create_time", "id"),
        ("model_id", "create_time", "id"),
        ("dataset_id", "create_time", "id"),
        ("job_id",),
        ("status", "create_time", "id"),
        ("start_time",),
    ],
)
class Run(Record):
    """One training run."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    project_id: str | None = attribute(default=None, reference=Reference("projects", OnDelete.SET_NULL), max_length=ID)
    dataset_id: str | None = attribute(default=None, reference=Reference("datasets", OnDelete.SET_NULL), max_length=ID)
    job_id: str = attribute(default="", max_length=NAME)
    name: str = attribute(default="", max_length=NAME, updatable=True, searchable=True)
    status: RunStatus = attribute(default=RunStatus.RUNNING, updatable=True)
    engine: str = attribute(default="", max_length=NAME, updatable=True)
    hyperparameters: dict[str, Any] | None = attribute(default=None, updatable=True)
    start_time: datetime | None = attribute(default=None, updatable=True)
    end_time: datetime | None = attribute(default=None, updatable=True)
    experiment_id: str | None = attribute(
        default=None, reference=Reference("experiments", OnDelete.SET_NULL), max_length=ID
    )
    model_id: str | None = attribute(default=None, reference=Reference("models", OnDelete.SET_NULL), max_length=ID)
    base_version_id: str = attribute(default="", max_length=ID)
    planned_epochs: int = attribute(default=0, minimum=0, updatable=True)
    environment: dict[str, Any] | None = attribute(default=None, updatable=True)
    notes: str = attribute(default="", updatable=True, searchable=True)
    error: str = attribute(default="", updatable=True)
    tags: dict[str, Any] | None = attribute(default=None, updatable=True)


@entity(
    "metrics",
    key=("run_id", "name", "split", "step"),
    listed_by=("name", "split", "step"),
    newest_first=False,
    frozen=False,  # they are made by the thousand, and a frozen one takes twice as long
)
class Metric:
    """One measured number of a run."""

    run_id: str = attribute(default="", required=True, reference=Reference("runs", OnDelete.CASCADE), max_length=ID)
    name: str = attribute(default="", required=True, max_length=NAME)
    split: str = attribute(default="", required=True, one_of=SPLITS, max_length=NAME)
    step: int = attribute(default=0, minimum=0)
    value: float = attribute(default=0.0)
    measure_time: datetime = attribute(default=EPOCH)


@entity(
    "metric_summaries",
    key=("run_id", "name", "split"),
    indexes=[("name", "split", "value", "run_id")],
    listed_by=("name", "split"),
    newest_first=False,
    derived=True,
)
class MetricSummary:
    """What a run's metric came to: its value at the highest step, of each split, and of the rows held out."""

    run_id: str = attribute(default="", required=True, reference=Reference("runs", OnDelete.CASCADE), max_length=ID)
    name: str = attribute(default="", required=True, max_length=NAME)
    split: str = attribute(default="", max_length=NAME)
    """Empty for the held-out rows: the first of test, validation and train that has the metric."""
    precedence: int = attribute(default=0, minimum=0)
    """Of the split that it is of; a higher one goes before a lower one, whatever the steps."""
    step: int = attribute(default=0, minimum=0)
    value: float = attribute(default=0.0)


@entity(
    "model_versions",
    unique=[("model_id", "version"), ("model_id", "label")],
    indexes=[("run_id",), ("dataset_id",), ("status",)],
    listed_by=("version", "id"),
)
class ModelVersion(Record):
    """One trained model."""

    model_id: str = attribute(default="", reference=Reference("models", OnDelete.CASCADE), max_length=ID)
    version: int = attribute(default=0, output_only=True, minimum=0)
    run_id: str | None = attribute(default=None, reference=Reference("runs", OnDelete.SET_NULL), max_length=ID)
    artifact_id: str | None = attribute(
        default=None,
        unique=True,
        reference=Reference("artifacts", OnDelete.RESTRICT, owned=True),
        max_length=ID,
    )
    dataset_id: str | None = attribute(default=None, reference=Reference("datasets", OnDelete.SET_NULL), max_length=ID)
    engine: str = attribute(default="", max_length=NAME)
    base_model: str = attribute(default="", max_length=PATH)
    problem_type: str = attribute(default="", one_of=("", *PROBLEM_TYPES), max_length=NAME)
    target: str = attribute(default="")
    features: list[str] = attribute(factory=list)
    score_name: str = attribute(default="", max_length=NAME)
    score: float = attribute(default=0.0)
    details: dict[str, Any] | None = attribute(default=None)
    label: str | None = attribute(default=None, max_length=NAME)
    status: str = attribute(default="ready", one_of=VERSION_STATUSES, max_length=NAME, updatable=True)
    description: str = attribute(default="", updatable=True)
    config: dict[str, Any] | None = attribute(default=None, updatable=True)
    uri: str = attribute(default="", updatable=True)
    file_size: int = attribute(default=0, minimum=0, updatable=True)
    tags: dict[str, Any] | None = attribute(default=None, updatable=True)


@entity(
    "predictions",
    indexes=[
        ("user_id", "predict_time", "id"),
        ("model_id", "predict_time", "id"),
        ("model_version_id", "predict_time", "id"),
        ("predict_time", "id"),
    ],
    listed_by=("predict_time", "id"),
)
class Prediction(Record):
    """What a model version said of some inputs."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    model_id: str = attribute(default="", reference=Reference("models", OnDelete.CASCADE), max_length=ID)
    model_version_id: str = attribute(
        default="", required=True, reference=Reference("model_versions", OnDelete.CASCADE), max_length=ID
    )
    inputs: dict[str, Any] | None = attribute(default=None)
    outputs: dict[str, Any] | None = attribute(default=None)
    confidence: float | None = attribute(default=None, minimum=0, maximum=1)
    latency_ms: float | None = attribute(default=None, minimum=0, maximum=LONGEST_MS)
    predict_time: datetime = attribute(default=EPOCH)
    source: str = attribute(default="", max_length=NAME)
    actual: dict[str, Any] | None = attribute(default=None, updatable=True)
    tags: dict[str, Any] | None = attribute(default=None, updatable=True)


@entity(
    "experiment_runs",
    unique=[("experiment_id", "run_id")],
    indexes=[("experiment_id", "create_time", "id"), ("create_time", "id"), ("run_id",)],
)
class ExperimentRun(Record):
    """That a run is part of an experiment."""

    experiment_id: str = attribute(
        default="", required=True, reference=Reference("experiments", OnDelete.CASCADE), max_length=ID
    )
    run_id: str = attribute(default="", required=True, reference=Reference("runs", OnDelete.CASCADE), max_length=ID)
    variant: str = attribute(default="", max_length=NAME)
    notes: str = attribute(default="")
