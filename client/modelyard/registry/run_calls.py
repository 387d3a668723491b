"""The calls of a registry on training runs: what was tried, with which hyperparameters, and what was measured."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from modelyard.common.v1.metric_pb2 import Metric
from modelyard.metadata.v1 import model_pb2, run_pb2
from modelyard.registry import shapes
from modelyard.registry.asking import (
    Ask,
    Call,
    Id,
    Session,
    collected,
    given_fields,
    got,
    id_of,
    listed,
    maybe_id_of,
    number_of,
    request_id_of,
    told,
)
from modelyard.registry.documents import Document, document_of, stamp_of, struct_of
from modelyard.registry.problems import NotFound, invalid

Json = Mapping[str, Any]
METRICS_AT_ONCE = 10_000
OTHER_WORDS = {"pending": "queued", "canceled": "cancelled", "succeeded": "completed"}
"""What others call the statuses of runs."""
SPLITS = {"val": "validation", "valid": "validation", "dev": "validation", "training": "train"}
"""What others call the splits."""
VALIDATION = ("val_", "valid_", "validation_")
TEST = "test_"


def create_training_run(
    session: Session,
    model_version_id: Id | None = None,
    dataset_id: Id | None = None,
    name: str = "",
    status: str = "running",
    total_epochs: int = 0,
    model_id: Id | None = None,
    experiment_id: Id | None = None,
    hyperparameters: Json | None = None,
    environment: Json | None = None,
    notes: str = "",
    tags: Json | None = None,
    started_at: datetime | str | None = None,
    request_id: str | None = None,
) -> Call[int]:
    """Record that a training begins; its id. NotFound or NotReady when what it refers to does not exist.

    `status` is "queued", "running", "completed", "failed" or "cancelled"; `model_version_id` the version it starts
    from, whose model it trains unless `model_id` names another. It starts now unless it is queued.
    """
    version = yield from maybe_id_of(session, shapes.VERSION, model_version_id)
    model = yield from maybe_id_of(session, shapes.MODEL, model_id)
    if version and not model:
        found = yield Ask("Model", "GetModelVersion", model_pb2.GetModelVersionRequest(id=version))
        model = found.model_id
    known = _status_of(status)
    start = started_at if started_at or known == run_pb2.RUN_STATUS_QUEUED else datetime.now(UTC)
    fields = {
        "base_version_id": version,
        "model_id": model,
        "dataset_id": (yield from maybe_id_of(session, shapes.DATASET, dataset_id)),
        "experiment_id": (yield from maybe_id_of(session, shapes.EXPERIMENT, experiment_id)),
        "hyperparameters": struct_of("hyperparameters", hyperparameters),
        "environment": struct_of("environment", environment),
        "tags": struct_of("tags", tags),
        "start_time": stamp_of("started_at", start),
    }
    run = run_pb2.Run(
        user_id=session.user_id,
        name=name,
        status=known,
        planned_epochs=total_epochs,
        notes=notes,
        **given_fields(fields),
    )
    request = run_pb2.CreateRunRequest(run=run, request_id=request_id_of(request_id))
    made = yield Ask("Run", "CreateRun", request)
    return (yield from number_of(session, shapes.RUN, made.id))


def update_training_run(
    session: Session,
    training_run_id: Id,
    status: str | None = None,
    name: str | None = None,
    total_epochs: int | None = None,
    environment: Json | None = None,
    notes: str | None = None,
    error: str | None = None,
    tags: Json | None = None,
    started_at: datetime | str | None = None,
    completed_at: datetime | str | None = None,
) -> Call[Document]:
    """Change what is given, and leave the rest; the run as it is then. NotFound when there is no such run.

    NotReady for a status that its present one does not lead to. A run that ends gets the time of that by itself.
    """
    changes = given_fields(
        {
            "status": None if status is None else _status_of(status),
            "name": name,
            "planned_epochs": total_epochs,
            "environment": struct_of("environment", environment),
            "notes": notes,
            "error": error,
            "tags": struct_of("tags", tags),
            "start_time": stamp_of("started_at", started_at),
            "end_time": stamp_of("completed_at", completed_at),
        }
    )
    run = run_pb2.Run(id=(yield from id_of(session, shapes.RUN, training_run_id)), **changes)
    request = run_pb2.UpdateRunRequest(run=run, update_mask=FieldMask(paths=list(changes)))
    changed = yield Ask("Run", "UpdateRun", request)
    return (yield from told(session, shapes.RUN, [changed]))[0]


def get_training_run(session: Session, training_run_id: Id) -> Call[Document | None]:
    """A run; None when there is none."""
    try:
        found = yield from id_of(session, shapes.RUN, training_run_id)
    except NotFound:
        return None
    return (yield from got(session, shapes.RUN, Ask("Run", "GetRun", run_pb2.GetRunRequest(id=found))))


def list_training_runs(
    session: Session,
    status: str = "",
    name: str = "",
    model_id: Id | None = None,
    dataset_id: Id | None = None,
    filter: str = "",  # noqa: A002
    order_by: str = "",
    limit: int | None = None,
) -> Call[list[Document]]:
    """The user's runs, newest first: all, or those of a status, name, model or dataset."""
    narrowed = {
        "status": _status_of(status) if status else None,
        "model_id": (yield from maybe_id_of(session, shapes.MODEL, model_id)),
        "dataset_id": (yield from maybe_id_of(session, shapes.DATASET, dataset_id)),
    }
    request = run_pb2.ListRunsRequest(
        user_id=session.user_id, name=name, filter=filter, order_by=order_by, **given_fields(narrowed)
    )
    return (yield from listed(session, shapes.RUN, Ask("Run", "ListRuns", request), limit))


def log_hyperparameters(session: Session, training_run_id: Id, hyperparameters: Json) -> Call[None]:
    """Add hyperparameters to a run, each in place of one of the same name. NotFound when there is no such run."""
    found = yield from id_of(session, shapes.RUN, training_run_id)
    given = struct_of("hyperparameters", hyperparameters)
    yield Ask("Run", "LogHyperparameters", run_pb2.LogHyperparametersRequest(id=found, hyperparameters=given))


def get_hyperparameters(session: Session, training_run_id: Id) -> Call[Document]:
    """The hyperparameters of a run, by name. NotFound when there is no such run."""
    found = yield from id_of(session, shapes.RUN, training_run_id)
    run = yield Ask("Run", "GetRun", run_pb2.GetRunRequest(id=found))
    return document_of(run.hyperparameters)


def log_metric(
    session: Session,
    training_run_id: Id,
    metric_name: str,
    value: float,
    epoch: int | None = None,
    step: int | None = None,
    split: str | None = None,
    timestamp: datetime | str | None = None,
) -> Call[None]:
    """Log one measured number, in place of one of the same name, split and step. NotFound when there is no such run.

    `epoch` and `step` are two words for one thing, what the run counts in; 0 when neither is given. `split` tells on
    which rows it was measured: "train", "validation" or "test"; when absent it is "validation" for a name that begins
    with val_, "test" for one that begins with test_, else "train". The value may be infinite; NaN is InvalidInput.
    """
    given = {"epoch": epoch, "step": step, "split": split, "timestamp": timestamp}
    yield from log_metrics(session, training_run_id, [{"metric_name": metric_name, "value": value, **given}])


def log_metrics(session: Session, training_run_id: Id, metrics: Iterable[Json]) -> Call[int]:
    """Log many, each told as `log_metric` takes it: {"metric_name": "loss", "value": 0.5, "epoch": 1}; how many.

    They are written 10,000 at a time; of those each time all or none.
    """
    found = yield from id_of(session, shapes.RUN, training_run_id)
    messages = [_metric(**each) for each in metrics]
    for start in range(0, len(messages), METRICS_AT_ONCE):
        part = messages[start : start + METRICS_AT_ONCE]
        yield Ask("Run", "BatchLogMetrics", run_pb2.LogMetricsRequest(run_id=found, metrics=part))
    return len(messages)


def get_metrics(
    session: Session, training_run_id: Id, metric_name: str = "", split: str = "", limit: int | None = None
) -> Call[list[Document]]:
    """A run's metrics in the order of name, split and step. NotFound when there is no such run."""
    found = yield from id_of(session, shapes.RUN, training_run_id)
    request = run_pb2.ListMetricsRequest(run_id=found, name=metric_name)
    wanted = SPLITS.get(split, split)
    most = None if wanted else limit
    read = yield from collected(Ask("Run", "ListMetrics", request), "metrics", most, METRICS_AT_ONCE)
    number = yield from number_of(session, shapes.RUN, found)
    return [shapes.metric(each, number) for each in read if wanted in ("", each.split)][:limit]


def _metric(
    metric_name: str,
    value: float,
    epoch: int | None = None,
    step: int | None = None,
    split: str | None = None,
    timestamp: datetime | str | None = None,
) -> Metric:
    if epoch is not None and step is not None and epoch != step:
        raise invalid(f"{metric_name} has epoch {epoch} and step {step}, which are one thing here. Give one of them.")
    counted = epoch if step is None else step
    split = split or _split_of(metric_name)
    fields = given_fields({"measure_time": stamp_of("timestamp", timestamp)})
    return Metric(name=metric_name, value=value, step=counted or 0, split=SPLITS.get(split, split), **fields)


def _split_of(metric_name: str) -> str:
    if metric_name.startswith(VALIDATION):
        return "validation"
    return "test" if metric_name.startswith(TEST) else "train"


def _status_of(word: str) -> run_pb2.RunStatus.ValueType:
    known: Sequence[str] = [name.removeprefix(shapes.PREFIX).lower() for name in run_pb2.RunStatus.keys()[1:]]
    status = OTHER_WORDS.get(word, word)
    if status not in known:
        raise invalid(f"The status is {word!r}, which no run has. Take one of: {', '.join(known)}.")
    return run_pb2.RunStatus.Value(shapes.PREFIX + status.upper())
