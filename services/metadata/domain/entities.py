"""What Modelyard records. The contracts in `protos/modelyard/metadata/v1` say what every attribute means."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.metadata.domain.declarations import EPOCH, OnDelete, Reference, attribute, entity

NAME = 200
"""Most characters of a name, of an id that others give, and of all else that is looked up by."""
PATH = 1024
ID_PATTERN = r"[A-Za-z0-9_-]{1,100}"
SHA256_PATTERN = r"[0-9a-f]{64}"

TASK_TYPES = ("general_ml", "image_classification", "object_detection")
PROBLEM_TYPES = ("binary", "multiclass", "regression")
ARTIFACT_KINDS = ("dataset", "model", "project", "poster", "upload", "story")
SPLITS = ("train", "validation", "test")


class RunStatus(StrEnum):
    """Life of a run."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobStatus(StrEnum):
    """Life of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


class ArtifactState(StrEnum):
    """Life of an artifact."""

    PENDING = "pending"
    ACTIVE = "active"
    DELETING = "deleting"
    DELETED = "deleted"
    ABANDONED = "abandoned"


GONE = frozenset({ArtifactState.DELETED, ArtifactState.ABANDONED})


@dataclass(frozen=True)
class TableFormat:
    """How a text file is to be read as a table."""

    delimiter: str = ""
    encoding: str = ""


@dataclass(frozen=True)
class ArtifactCopy:
    """One place that holds an object."""

    backend: str = ""
    bucket: str = ""
    uri: str = ""


@dataclass(frozen=True)
class JobError:
    """Why a job failed."""

    code: str = ""
    message: str = ""
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What every record has that is known by an id."""

    id: str = attribute(default="", pattern=ID_PATTERN, max_length=100)
    create_time: datetime = attribute(default=EPOCH, output_only=True)  # noqa: RUF009 (a field specifier)
    update_time: datetime = attribute(default=EPOCH, output_only=True)  # noqa: RUF009 (a field specifier)
    etag: str = attribute(default="", output_only=True, max_length=32)
    request_id: str | None = attribute(default=None, unique=True, output_only=True, max_length=NAME)
    """Of the request that created it; None for what another record's request created."""


@entity("projects", unique=[("user_id", "name")], indexes=[("user_id", "create_time", "id"), ("create_time", "id")])
class Project(Record):
    """A named piece of a user's work."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    name: str = attribute(default="", required=True, max_length=NAME, updatable=True)
    task_type: str = attribute(default="general_ml", one_of=TASK_TYPES, max_length=NAME, updatable=True)
    status: str = attribute(default="active", one_of=("active", "completed"), max_length=NAME, updatable=True)


@entity(
    "artifacts",
    unique=[("placement", "key")],
    indexes=[
        ("user_id", "create_time", "id"),
        ("project_id", "create_time", "id"),
        ("placement", "create_time", "id"),
        ("state", "create_time", "id"),
        ("state", "update_time"),
        ("state", "expire_time"),
        ("create_time", "id"),
    ],
)
class Artifact(Record):
    """What is recorded of one stored object."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    project_id: str | None = attribute(default=None, reference=Reference("projects", OnDelete.SET_NULL), max_length=100)
    job_id: str = attribute(default="", max_length=NAME)
    kind: str = attribute(default="", required=True, one_of=ARTIFACT_KINDS, max_length=NAME)
    state: ArtifactState = attribute(default=ArtifactState.PENDING, output_only=True)
    placement: str = attribute(default="", required=True, max_length=NAME)
    key: str = attribute(default="", required=True, max_length=PATH)
    backend: str = attribute(default="", output_only=True, max_length=NAME)
    bucket: str = attribute(default="", output_only=True, max_length=PATH)
    uri: str = attribute(default="", output_only=True)
    size: int = attribute(default=0, output_only=True, minimum=0)
    sha256: str = attribute(default="", output_only=True, pattern=SHA256_PATTERN, max_length=64)
    copies: list[ArtifactCopy] = attribute(factory=list, output_only=True)
    fallback: bool = attribute(default=False, output_only=True)
    storage_failures: list[str] = attribute(factory=list, output_only=True)
    write_time: datetime | None = attribute(default=None, output_only=True)
    expire_time: datetime | None = attribute(default=None, output_only=True)
    download_count: int = attribute(default=0, output_only=True, minimum=0, counter=True)


@entity("datasets", indexes=[("user_id", "create_time", "id"), ("create_time", "id"), ("project_id",)])
class Dataset(Record):
    """An uploaded table."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    project_id: str | None = attribute(
        default=None, reference=Reference("projects", OnDelete.SET_NULL), max_length=100, updatable=True
    )
    artifact_id: str = attribute(
        default="",
        required=True,
        unique=True,
        reference=Reference("artifacts", OnDelete.RESTRICT, owned=True),
        max_length=100,
    )
    name: str = attribute(default="", required=True, max_length=NAME, updatable=True)
    file_name: str = attribute(default="", max_length=PATH)
    row_count: int = attribute(default=0, minimum=0)
    column_count: int = attribute(default=0, minimum=0)
    column_names: list[str] = attribute(factory=list)
    file_size: int = attribute(default=0, minimum=0)
    sha256: str = attribute(default="", pattern=SHA256_PATTERN, max_length=64)
    format: TableFormat | None = attribute(default=None)
    target_column: str = attribute(default="", updatable=True)
    source: str = attribute(default="upload", one_of=("upload",), max_length=NAME)
    status: str = attribute(default="ready", one_of=("ready",), max_length=NAME)


@entity(
    "models",
    unique=[("user_id", "name")],
    indexes=[("user_id", "create_time", "id"), ("create_time", "id"), ("project_id",)],
)
class Model(Record):
    """A named model of a user; its versions hold what was trained."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    project_id: str | None = attribute(default=None, reference=Reference("projects", OnDelete.SET_NULL), max_length=100)
    name: str = attribute(default="", required=True, max_length=NAME)
    latest_version: int = attribute(default=0, output_only=True, minimum=0)


@entity(
    "runs",
    indexes=[
        ("user_id", "create_time", "id"),
        ("create_time", "id"),
        ("project_id",),
        ("dataset_id",),
        ("job_id",),
    ],
)
class Run(Record):
    """One training run."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    project_id: str | None = attribute(default=None, reference=Reference("projects", OnDelete.SET_NULL), max_length=100)
    dataset_id: str | None = attribute(default=None, reference=Reference("datasets", OnDelete.SET_NULL), max_length=100)
    job_id: str = attribute(default="", max_length=NAME)
    name: str = attribute(default="", max_length=NAME, updatable=True)
    status: RunStatus = attribute(default=RunStatus.RUNNING, updatable=True)
    engine: str = attribute(default="", max_length=NAME, updatable=True)
    hyperparameters: dict[str, Any] | None = attribute(default=None, updatable=True)
    start_time: datetime | None = attribute(default=None, updatable=True)
    end_time: datetime | None = attribute(default=None, updatable=True)


@entity("metrics", key=("run_id", "name", "split", "step"), listed_by=("name", "split", "step"), newest_first=False)
class Metric:
    """One measured number of a run."""

    run_id: str = attribute(default="", required=True, reference=Reference("runs", OnDelete.CASCADE), max_length=100)
    name: str = attribute(default="", required=True, max_length=NAME)
    split: str = attribute(default="", required=True, one_of=SPLITS, max_length=NAME)
    step: int = attribute(default=0, minimum=0)
    value: float = attribute(default=0.0)
    measure_time: datetime = attribute(default=EPOCH)


@entity(
    "model_versions",
    unique=[("model_id", "version")],
    indexes=[("run_id",), ("dataset_id",)],
    listed_by=("version", "id"),
)
class ModelVersion(Record):
    """One trained model."""

    model_id: str = attribute(
        default="", output_only=True, reference=Reference("models", OnDelete.CASCADE), max_length=100
    )
    version: int = attribute(default=0, output_only=True, minimum=0)
    run_id: str | None = attribute(default=None, reference=Reference("runs", OnDelete.SET_NULL), max_length=100)
    artifact_id: str = attribute(
        default="",
        required=True,
        unique=True,
        reference=Reference("artifacts", OnDelete.RESTRICT, owned=True),
        max_length=100,
    )
    dataset_id: str | None = attribute(default=None, reference=Reference("datasets", OnDelete.SET_NULL), max_length=100)
    engine: str = attribute(default="", max_length=NAME)
    base_model: str = attribute(default="", max_length=PATH)
    problem_type: str = attribute(default="", one_of=("", *PROBLEM_TYPES), max_length=NAME)
    target: str = attribute(default="")
    features: list[str] = attribute(factory=list)
    score_name: str = attribute(default="", max_length=NAME)
    score: float = attribute(default=0.0)
    details: dict[str, Any] | None = attribute(default=None)


@entity(
    "jobs",
    indexes=[("user_id", "create_time", "id"), ("status", "create_time", "id"), ("create_time", "id")],
)
class Job(Record):
    """One durable piece of work."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    kind: str = attribute(default="", required=True, max_length=NAME)
    status: JobStatus = attribute(default=JobStatus.QUEUED, output_only=True)
    step: str = attribute(default="", output_only=True, max_length=NAME)
    stage: str = attribute(default="", max_length=NAME)
    message: str = attribute(default="")
    progress: float = attribute(default=0.0, output_only=True)
    input: dict[str, Any] | None = attribute(default=None)
    state: dict[str, Any] | None = attribute(default=None, output_only=True)
    result: dict[str, Any] | None = attribute(default=None, output_only=True)
    error: JobError | None = attribute(default=None, output_only=True)
    cancel_requested: bool = attribute(default=False, output_only=True)
    lease_owner: str = attribute(default="", output_only=True, max_length=NAME)
    lease_expire_time: datetime | None = attribute(default=None, output_only=True)
    fencing_token: int = attribute(default=0, output_only=True, minimum=0)
    attempt: int = attribute(default=0, output_only=True, minimum=0)
    due_time: datetime | None = attribute(default=None)
    end_time: datetime | None = attribute(default=None, output_only=True)
    retries: int = attribute(default=0, output_only=True, minimum=0)
    """How often its user has queued it again; a repeat of that request is known by it."""
