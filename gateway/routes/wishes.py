"""What the registry's routes take as bodies. Names are in camel case, and also read as Python has them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

LARGEST_WHOLE = 2**53
"""JSON numbers above it are not told apart."""


def _as_json_keeps(given: Any) -> Any:
    """A document, if it comes back as it was given."""
    if isinstance(given, dict):
        for name, value in given.items():
            name.encode()
            _as_json_keeps(value)
    elif isinstance(given, list):
        for value in given:
            _as_json_keeps(value)
    elif isinstance(given, str):
        given.encode()  # half of a character is a ValueError
    elif isinstance(given, int) and abs(given) > LARGEST_WHOLE:
        raise ValueError(f"whole numbers are kept up to {LARGEST_WHOLE}; give a larger one as text")
    return given


Document = Annotated[dict[str, Any], AfterValidator(_as_json_keeps)]
Number = Annotated[int, Field(ge=0, le=2**63 - 1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Id = int | str
RunStatus = Literal["queued", "running", "completed", "failed", "cancelled"]


class Wish(BaseModel):
    """A body; what is not known in it is refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", protected_namespaces=())

    @property
    def given(self) -> dict[str, Any]:
        """What was given, by its names in camel case."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class ModelWish(Wish):
    """A model to create."""

    name: Name
    model_type: str = ""
    framework: str = ""
    description: str = ""
    config: Document | None = None
    tags: Document | None = None


class VersionWish(Wish):
    """A version to add to a model."""

    model_id: Id
    version: str = Field("", description="Its name in the model, like v1.0; the model counts its versions besides.")
    status: str = ""
    description: str = ""
    config: Document | None = None
    checkpoint_path: str = ""
    file_size: Number = 0
    training_run_id: Id | None = None
    dataset_id: Id | None = None
    tags: Document | None = None


class DatasetWish(Wish):
    """A dataset to record whose bytes are kept elsewhere."""

    name: Name
    description: str = ""
    path: str = ""
    num_samples: Number = 0
    columns: list[str] = []
    file_size: Number = 0
    splits: Document | None = None
    tags: Document | None = None


class RunWish(Wish):
    """A training run to record."""

    name: str = ""
    status: RunStatus = "running"
    model_id: Id | None = None
    model_version_id: Id | None = Field(None, description="The version that it starts from.")
    dataset_id: Id | None = None
    experiment_id: Id | None = None
    total_epochs: Number = 0
    hyperparameters: Document | None = None
    environment: Document | None = None
    notes: str = ""
    tags: Document | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


class RunChange(Wish):
    """What is to be otherwise of a training run; what is not given stays."""

    name: str | None = None
    status: RunStatus | None = None
    total_epochs: Number | None = None
    environment: Document | None = None
    notes: str | None = None
    error: str | None = None
    tags: Document | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


class HyperparametersWish(Wish):
    """Hyperparameters to add to a run, each in place of one of the same name."""

    hyperparameters: Document


class MetricWish(Wish):
    """One measured number."""

    name: Name
    value: float
    step: Number = Field(0, description="Epoch, or whatever else the run counts in.")
    split: Literal["train", "validation", "test"] = "train"
    timestamp: datetime | None = None


class MetricsWish(Wish):
    """Measured numbers to add to a run, each in place of one of the same name, split and step."""

    metrics: Annotated[list[MetricWish], Field(min_length=1, max_length=10_000)]


class ExperimentWish(Wish):
    """An experiment to create."""

    name: Name
    description: str = ""
    goal: str = ""
    tags: Document | None = None


class ExperimentRunWish(Wish):
    """A run to make part of an experiment."""

    training_run_id: Id
    variant: str = ""
    notes: str = ""


class PredictionWish(Wish):
    """What a version said of some input."""

    model_version_id: Id
    input_data: Document
    output_data: Document
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    inference_time_ms: Annotated[float, Field(ge=0)] | None = None
    actual: Document | None = None
    source: str = ""
    tags: Document | None = None
    timestamp: datetime | None = None
