"""What the gateway tells, typed. Names are as in Python; both spellings of the wire are read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

JobStatus = Literal["queued", "processing", "completed", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled"})


class Record(BaseModel):
    """Something the gateway described; it never changes. Fields that this client does not know are left out."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore", protected_namespaces=()
    )


class Copy(Record):
    """One place that holds an object."""

    backend: str
    bucket: str = ""
    uri: str = ""


class StoredObject(Record):
    """Where bytes are kept, how they came there, and how long they stay."""

    backend: str = ""
    bucket: str = ""
    key: str = ""
    uri: str = ""
    size: int = 0
    """Bytes; 0 when not told."""
    sha256: str = ""
    copies: tuple[Copy, ...] = ()
    """Every place that holds it, the one above first."""
    fallback: bool = False
    """Whether another backend than its home took it, because the home failed."""
    failures: tuple[str, ...] = ()
    """What failed while it was stored although the whole succeeded, as sentences."""
    expires_at: datetime | None = None
    """When it may be deleted; None when never."""
    download_count: int = 0
    """Finished downloads through the gateway."""


class DatabaseUpdate(Record):
    """Whether a project's record tells of its package."""

    success: bool
    project_id: str = ""
    message: str = ""


class AtCloudinary(Record):
    """Whether Cloudinary holds a project's package."""

    success: bool
    url: str | None = None
    public_id: str | None = None
    size: int = 0
    """Bytes."""
    error: str = ""
    """Why it does not, as a sentence."""
    database_update: DatabaseUpdate | None = None


class ValueCount(Record):
    """A value of a column, and the rows that have it."""

    value: str
    count: int = 0


class Column(Record):
    """One column of a dataset."""

    name: str
    dtype: str = ""
    null_count: int = 0
    unique_count: int = 0
    unique_count_estimated: bool = False
    kind: str = ""
    """What its values are: empty, number, truth, time or text."""
    min: str | int | float | None = None
    """Of numbers and times, as are max, mean and quantiles. A text for a time, an infinity, and beyond 2^53."""
    max: str | int | float | None = None
    mean: str | int | float | None = None
    quantiles: dict[str, str | int | float | None] = {}
    """By their probability: 0.25, 0.5 and 0.75."""
    quantiles_estimated: bool = False
    top_values: tuple[ValueCount, ...] = ()
    """Of texts and truth values, the most frequent first."""
    top_values_estimated: bool = False
    top_values_error: int = 0
    """By how many rows a count in top_values may be too low."""


class Dataset(Record):
    """One stored table, or archive of images."""

    id: str
    user_id: str = ""
    project_id: str = ""
    name: str = ""
    file_name: str = ""
    row_count: int = 0
    column_count: int = 0
    column_names: tuple[str, ...] = ()
    file_size: int = 0
    """Bytes."""
    sha256: str = ""
    kind: str = "table"
    """table or archive."""
    target_column: str = ""
    source: str = ""
    uri: str = ""
    """Where it came from; empty for an upload."""
    status: str = ""
    uploaded_at: datetime | None = None
    storage: StoredObject = StoredObject()
    columns: tuple[Column, ...] = Field((), alias="schema")
    """Only of a dataset asked for by its id."""
    sample_data: tuple[dict[str, Any], ...] = ()
    """The first rows; only of a dataset asked for by its id."""


class Failure(Record):
    """Why a job failed."""

    code: str = ""
    message: str = ""
    retryable: bool = False


class RowCounts(Record):
    """How many rows a model was trained on, and how many were held out to score it."""

    train: int = 0
    test: int = 0


class TrainingResult(Record):
    """What came of a training."""

    model_id: str
    version: int | str = 0
    model_name: str = ""
    best_model: str = ""
    engine: str = ""
    task_type: str = ""
    target: str = ""
    score_name: str = ""
    score: float | None = None
    """On the held-out rows."""
    metrics: dict[str, Any] = {}
    row_counts: RowCounts = RowCounts()
    download_url: str = ""
    storage: StoredObject = StoredObject()
    cloudinary: AtCloudinary | None = None
    """Only of a training in a project."""
    dataset_id: str = ""
    unavailable: tuple[str, ...] = ()
    """What was asked for but is not installed where it was trained."""


class Job(Record):
    """A durable piece of work."""

    id: str
    status: JobStatus
    current_stage: str = ""
    progress: float = 0
    """0 to 100, never less than before."""
    message: str = ""
    error: Failure | None = None
    result: TrainingResult | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ENDED


class Event(Record):
    """One thing that happened to a job. The last event of a job has `ended`."""

    type: Literal["status", "progress", "complete", "error"] = "status"
    status: JobStatus = "processing"
    current_stage: str = ""
    progress: float = 0
    """0 to 100."""
    message: str = ""
    error: Failure | None = None
    result: TrainingResult | None = None

    @property
    def ended(self) -> bool:
        """Whether this is the last one."""
        return self.type in ("complete", "error")


class Model(Record):
    """One trained model, as its newest version is."""

    id: str
    user_id: str = ""
    project_id: str = ""
    name: str = ""
    version: int | str = 0
    base_model: str = ""
    engine: str = ""
    problem_type: str = ""
    target: str = ""
    score_name: str = ""
    score: float | None = None
    """On the held-out rows."""
    accuracy: float | None = None
    metrics: dict[str, Any] = {}
    dataset_id: str = ""
    size: int = 0
    """Bytes of the packaged model."""
    sha256: str = ""
    storage: StoredObject = StoredObject()
    download_url: str = ""
    created_at: datetime | None = None
    versions: tuple[dict[str, Any], ...] = ()
    """This and what follows: only of a model asked for by its id."""
    features: tuple[str, ...] = ()
    leaderboard: tuple[dict[str, Any], ...] = ()
    parameters: dict[str, Any] = {}
    library_versions: dict[str, str] = {}
    unavailable: tuple[str, ...] = ()


class ServiceHealth(Record):
    """Whether one service can do its work."""

    ready: bool
    reason: str = ""


class Found(Record):
    """One thing found in an image."""

    label: str | int | float | bool = Field(alias="class")
    score: float
    """How certain it is, 0 to 1."""
    box: tuple[float, float, float, float]
    """Left, upper, right and lower edge, in pixels of the upright image."""


class Predictions(Record):
    """What a version of a model answered, row by row; for an image, what was found in it."""

    model_id: str
    model_version: int
    predictions: tuple[str | int | float | bool | tuple[Found, ...], ...]
    probabilities: tuple[Mapping[str, float], ...] | None = None
    """For each row, class to probability; None where the model predicts numbers."""
    latency_ms: float = 0.0
    """Milliseconds that the model took, on its way there and back included."""


class BackendHealth(Record):
    """Whether one place for bytes can be used."""

    name: str
    configured: bool = False
    reachable: bool = False
    reason: str = ""


class Workload(Record):
    """Something that can be trained, and the parts for it that are and are not installed where it is trained."""

    name: str
    available: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()


class Health(Record):
    """Whether Modelyard can do its work, part by part."""

    status: str
    services: Mapping[str, ServiceHealth] = {}
    backends: tuple[BackendHealth, ...] = ()
    workloads: tuple[Workload, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether every part is."""
        return self.status == "ready"
