"""Records as the dictionaries that users of a registry know: integer ids, documents as dictionaries, times in UTC."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelyard.metadata.v1 import run_pb2
from modelyard.registry.documents import Document, document_of, moment_of

ARCHITECTURE = "architecture"
PREFIX = "RUN_STATUS_"


@dataclass(frozen=True)
class Shape:
    """How records of one kind are told."""

    entity: str
    """Name of the kind, in the contracts."""
    label: str
    """What one of them is called."""
    told: Callable[[Any], Document]
    """All but its ids."""
    refers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Names under which it is told to what it refers: the message's field, and the kind."""


def _times(record: Any) -> Document:
    return {"created_at": moment_of(record, "create_time"), "updated_at": moment_of(record, "update_time")}


def _model(record: Any) -> Document:
    config = document_of(record.config)
    return {
        "name": record.name,
        "model_type": record.kind,
        "architecture": config.pop(ARCHITECTURE, ""),
        "framework": record.framework,
        "description": record.description,
        "config": config,
        "tags": document_of(record.tags),
        "latest_version": record.latest_version,
        **_times(record),
    }


def _version(record: Any) -> Document:
    return {
        "version": record.label or str(record.version),
        "number": record.version,
        "status": record.status,
        "description": record.description,
        "config": document_of(record.config),
        "checkpoint_path": record.uri,
        "file_size": record.file_size,
        "tags": document_of(record.tags),
        **_times(record),
    }


def _dataset(record: Any) -> Document:
    return {
        "name": record.name,
        "description": record.description,
        "path": record.uri,
        "num_samples": record.row_count,
        "file_size": record.file_size,
        "splits": document_of(record.splits),
        "source": record.source,
        "tags": document_of(record.tags),
        **_times(record),
    }


def _run(record: Any) -> Document:
    return {
        "name": record.name,
        "status": run_pb2.RunStatus.Name(record.status).removeprefix(PREFIX).lower(),
        "total_epochs": record.planned_epochs,
        "environment": document_of(record.environment),
        "notes": record.notes,
        "error": record.error,
        "tags": document_of(record.tags),
        "started_at": moment_of(record, "start_time"),
        "completed_at": moment_of(record, "end_time"),
        **_times(record),
    }


def _experiment(record: Any) -> Document:
    return {
        "name": record.name,
        "description": record.description,
        "goal": record.goal,
        "conclusion": record.conclusion,
        "status": record.status,
        "tags": document_of(record.tags),
        **_times(record),
    }


def _experiment_run(record: Any) -> Document:
    return {"variant": record.variant, "notes": record.notes, **_times(record)}


def _prediction(record: Any) -> Document:
    return {
        "input_data": document_of(record.inputs),
        "output_data": document_of(record.outputs),
        "confidence": record.confidence if record.HasField("confidence") else None,
        "inference_time_ms": record.latency_ms if record.HasField("latency_ms") else None,
        "actual": document_of(record.actual) if record.HasField("actual") else None,
        "source": record.source,
        "tags": document_of(record.tags),
        "timestamp": moment_of(record, "predict_time"),
    }


def metric(record: Any, run: int | str) -> Document:
    """A measured number; a step counts epochs or whatever else the run counts in."""
    return {
        "training_run_id": run,
        "metric_name": record.name,
        "value": record.value,
        "split": record.split,
        "epoch": record.step,
        "step": record.step,
        "timestamp": moment_of(record, "measure_time"),
    }


MODEL = Shape("models", "model", _model)
VERSION = Shape(
    "model_versions",
    "model version",
    _version,
    {
        "model_id": ("model_id", "models"),
        "dataset_id": ("dataset_id", "datasets"),
        "training_run_id": ("run_id", "runs"),
    },
)
DATASET = Shape("datasets", "dataset", _dataset)
RUN = Shape(
    "runs",
    "training run",
    _run,
    {
        "model_id": ("model_id", "models"),
        "model_version_id": ("base_version_id", "model_versions"),
        "dataset_id": ("dataset_id", "datasets"),
        "experiment_id": ("experiment_id", "experiments"),
    },
)
EXPERIMENT = Shape("experiments", "experiment", _experiment)
EXPERIMENT_RUN = Shape(
    "experiment_runs",
    "experiment run",
    _experiment_run,
    {"experiment_id": ("experiment_id", "experiments"), "training_run_id": ("run_id", "runs")},
)
PREDICTION = Shape(
    "predictions",
    "prediction",
    _prediction,
    {"model_id": ("model_id", "models"), "model_version_id": ("model_version_id", "model_versions")},
)
