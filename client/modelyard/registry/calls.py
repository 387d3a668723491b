"""The calls of a registry on models, datasets, experiments and predictions. Those on runs are in `run_calls`.

`filter` and `order_by` of the lists are what docs/filters.md describes; the database does both.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from modelyard.metadata.v1 import admin_pb2, dataset_pb2, experiment_pb2, model_pb2, prediction_pb2, search_pb2
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
    numbers_of,
    request_id_of,
)
from modelyard.registry.documents import Document, stamp_of, struct_of, wrapped
from modelyard.registry.problems import NotFound, invalid

Json = Mapping[str, Any]
REGISTERED = "registered"
COUNTED = {
    "models": "models",
    "model_versions": "model_versions",
    "datasets": "datasets",
    "training_runs": "runs",
    "experiments": "experiments",
    "predictions": "predictions",
}
"""What statistics count, by the names of the kinds."""


def create_model(
    session: Session,
    name: str,
    model_type: str = "",
    architecture: str | Json = "",
    description: str = "",
    framework: str = "",
    config: Json | None = None,
    tags: Json | None = None,
    request_id: str | None = None,
) -> Call[int]:
    """Create a model under a name that the user has for no other one; its id. AlreadyExists for one that is taken."""
    if architecture:
        config = {**(config or {}), shapes.ARCHITECTURE: architecture}
    fields = {"config": struct_of("config", config), "tags": struct_of("tags", tags)}
    model = model_pb2.Model(
        user_id=session.user_id,
        name=name,
        kind=model_type,
        description=description,
        framework=framework,
        **given_fields(fields),
    )
    request = model_pb2.CreateModelRequest(model=model, request_id=request_id_of(request_id))
    made = yield Ask("Model", "CreateModel", request)
    return (yield from number_of(session, shapes.MODEL, made.id))


def get_model(session: Session, model_id: Id | None = None, name: str | None = None) -> Call[Document | None]:
    """A model by its id or its name; None when there is none. A text is a name."""
    wanted = name if name is not None else model_id
    if wanted is None:
        raise invalid("Neither the id nor the name of a model is given. Give one of them.")
    if isinstance(wanted, str):
        found = yield from list_models(session, name=wanted, limit=1)
        return found[0] if found else None
    return (yield from _got(session, shapes.MODEL, "Model", model_pb2.GetModelRequest, wanted))


def list_models(
    session: Session,
    name: str = "",
    filter: str = "",  # noqa: A002
    order_by: str = "",
    limit: int | None = None,
) -> Call[list[Document]]:
    """The user's models, newest first."""
    request = model_pb2.ListModelsRequest(user_id=session.user_id, name=name, filter=filter, order_by=order_by)
    return (yield from listed(session, shapes.MODEL, Ask("Model", "ListModels", request), limit))


def create_model_version(
    session: Session,
    model_id: Id,
    version: str = "",
    status: str = "",
    description: str = "",
    config: Json | None = None,
    checkpoint_path: str = "",
    file_size: int = 0,
    training_run_id: Id | None = None,
    dataset_id: Id | None = None,
    tags: Json | None = None,
    request_id: str | None = None,
) -> Call[int]:
    """Add a version to a model; its id. `version` is its name in the model, like "v1.0"; the model counts them too.

    NotFound or NotReady when the model, run or dataset does not exist, AlreadyExists for a name that is taken.
    """
    fields = {
        "label": version or None,
        "config": struct_of("config", config),
        "tags": struct_of("tags", tags),
        "run_id": (yield from maybe_id_of(session, shapes.RUN, training_run_id)),
        "dataset_id": (yield from maybe_id_of(session, shapes.DATASET, dataset_id)),
    }
    given = model_pb2.ModelVersion(
        model_id=(yield from id_of(session, shapes.MODEL, model_id)),
        status=status,
        description=description,
        uri=checkpoint_path,
        file_size=file_size,
        **given_fields(fields),
    )
    request = model_pb2.CreateModelVersionRequest(model_version=given, request_id=request_id_of(request_id))
    made = yield Ask("Model", "CreateModelVersion", request)
    return (yield from number_of(session, shapes.VERSION, made.id))


def get_model_version(session: Session, model_version_id: Id) -> Call[Document | None]:
    """One version; None when there is none."""
    return (yield from _got(session, shapes.VERSION, "Model", model_pb2.GetModelVersionRequest, model_version_id))


def get_model_versions(
    session: Session, model_id: Id, status: str = "", limit: int | None = None
) -> Call[list[Document]]:
    """The versions of a model, newest first. NotFound when there is no such model."""
    found = yield from id_of(session, shapes.MODEL, model_id)
    request = model_pb2.ListModelVersionsRequest(model_id=found, status=status)
    return (yield from listed(session, shapes.VERSION, Ask("Model", "ListModelVersions", request), limit))


def create_dataset(
    session: Session,
    name: str,
    description: str = "",
    path: str = "",
    num_samples: int = 0,
    file_size: int = 0,
    splits: Json | None = None,
    columns: tuple[str, ...] | list[str] = (),
    tags: Json | None = None,
    request_id: str | None = None,
) -> Call[int]:
    """Record a dataset whose bytes are kept elsewhere; its id.

    `splits` tells how its rows are split, as numbers or shares: {"train": 8000, "validation": 1000, "test": 1000}.
    """
    fields = {"splits": struct_of("splits", splits), "tags": struct_of("tags", tags)}
    dataset = dataset_pb2.Dataset(
        user_id=session.user_id,
        name=name,
        description=description,
        uri=path,
        row_count=num_samples,
        file_size=file_size,
        column_names=columns,
        column_count=len(columns),
        source=REGISTERED,
        **given_fields(fields),
    )
    request = dataset_pb2.CreateDatasetRequest(dataset=dataset, request_id=request_id_of(request_id))
    made = yield Ask("Dataset", "CreateDataset", request)
    return (yield from number_of(session, shapes.DATASET, made.id))


def get_dataset(session: Session, dataset_id: Id | None = None, name: str | None = None) -> Call[Document | None]:
    """A dataset by its id, or the newest one of a name; None when there is none. A text is a name."""
    wanted = name if name is not None else dataset_id
    if wanted is None:
        raise invalid("Neither the id nor the name of a dataset is given. Give one of them.")
    if isinstance(wanted, str):
        found = yield from list_datasets(session, name=wanted, limit=1)
        return found[0] if found else None
    return (yield from _got(session, shapes.DATASET, "Dataset", dataset_pb2.GetDatasetRequest, wanted))


def list_datasets(
    session: Session,
    name: str = "",
    filter: str = "",  # noqa: A002
    order_by: str = "",
    limit: int | None = None,
) -> Call[list[Document]]:
    """The user's datasets, newest first."""
    request = dataset_pb2.ListDatasetsRequest(user_id=session.user_id, name=name, filter=filter, order_by=order_by)
    return (yield from listed(session, shapes.DATASET, Ask("Dataset", "ListDatasets", request), limit))


def create_experiment(
    session: Session,
    name: str,
    description: str = "",
    goal: str = "",
    tags: Json | None = None,
    request_id: str | None = None,
) -> Call[int]:
    """Create an experiment under a name that the user has for no other one; its id."""
    fields = given_fields({"tags": struct_of("tags", tags)})
    experiment = experiment_pb2.Experiment(
        user_id=session.user_id, name=name, description=description, goal=goal, **fields
    )
    request = experiment_pb2.CreateExperimentRequest(experiment=experiment, request_id=request_id_of(request_id))
    made = yield Ask("Experiment", "CreateExperiment", request)
    return (yield from number_of(session, shapes.EXPERIMENT, made.id))


def get_experiment(session: Session, experiment_id: Id) -> Call[Document | None]:
    """One experiment; None when there is none."""
    return (
        yield from _got(session, shapes.EXPERIMENT, "Experiment", experiment_pb2.GetExperimentRequest, experiment_id)
    )


def list_experiments(
    session: Session,
    name: str = "",
    filter: str = "",  # noqa: A002
    order_by: str = "",
    limit: int | None = None,
) -> Call[list[Document]]:
    """The user's experiments, newest first."""
    request = experiment_pb2.ListExperimentsRequest(
        user_id=session.user_id, name=name, filter=filter, order_by=order_by
    )
    return (yield from listed(session, shapes.EXPERIMENT, Ask("Experiment", "ListExperiments", request), limit))


def add_experiment_run(
    session: Session,
    experiment_id: Id,
    training_run_id: Id,
    variant: str = "",
    notes: str = "",
    request_id: str | None = None,
) -> Call[int]:
    """Make a run part of an experiment; the id of that. AlreadyExists when it is part of it already."""
    link = experiment_pb2.ExperimentRun(
        experiment_id=(yield from id_of(session, shapes.EXPERIMENT, experiment_id)),
        run_id=(yield from id_of(session, shapes.RUN, training_run_id)),
        variant=variant,
        notes=notes,
    )
    request = experiment_pb2.CreateExperimentRunRequest(experiment_run=link, request_id=request_id_of(request_id))
    made = yield Ask("Experiment", "CreateExperimentRun", request)
    return (yield from number_of(session, shapes.EXPERIMENT_RUN, made.id))


def get_experiment_runs(session: Session, experiment_id: Id, limit: int | None = None) -> Call[list[Document]]:
    """Which runs are part of an experiment, those added last first. NotFound when there is no such experiment."""
    found = yield from id_of(session, shapes.EXPERIMENT, experiment_id)
    request = experiment_pb2.ListExperimentRunsRequest(experiment_id=found)
    ask = Ask("Experiment", "ListExperimentRuns", request)
    return (yield from listed(session, shapes.EXPERIMENT_RUN, ask, limit))


def log_prediction(
    session: Session,
    model_version_id: Id,
    input_data: Any,
    output_data: Any,
    confidence: float | None = None,
    inference_time_ms: float | None = None,
    actual: Any = None,
    source: str = "",
    tags: Json | None = None,
    timestamp: datetime | str | None = None,
    request_id: str | None = None,
) -> Call[int]:
    """Log what a version said of some input; the id of that.

    Input and output are documents; anything else is kept as {"value": …}. `confidence` is 0 to 1; `timestamp` is now
    when absent.
    """
    fields = {
        "confidence": confidence,
        "latency_ms": inference_time_ms,
        "actual": None if actual is None else struct_of("actual", wrapped(actual)),
        "tags": struct_of("tags", tags),
        "predict_time": stamp_of("timestamp", timestamp),
    }
    prediction = prediction_pb2.Prediction(
        user_id=session.user_id,
        model_version_id=(yield from id_of(session, shapes.VERSION, model_version_id)),
        inputs=struct_of("input_data", wrapped(input_data)),
        outputs=struct_of("output_data", wrapped(output_data)),
        source=source,
        **given_fields(fields),
    )
    request = prediction_pb2.CreatePredictionRequest(prediction=prediction, request_id=request_id_of(request_id))
    made = yield Ask("Prediction", "CreatePrediction", request)
    return (yield from number_of(session, shapes.PREDICTION, made.id))


def get_predictions(
    session: Session,
    model_version_id: Id | None = None,
    model_id: Id | None = None,
    filter: str = "",  # noqa: A002
    limit: int | None = 100,
) -> Call[list[Document]]:
    """The user's predictions, the latest first: of a version, of a model, or all."""
    version = yield from maybe_id_of(session, shapes.VERSION, model_version_id)
    model = yield from maybe_id_of(session, shapes.MODEL, model_id)
    request = prediction_pb2.ListPredictionsRequest(
        user_id=session.user_id, model_version_id=version or "", model_id=model or "", filter=filter
    )
    return (yield from listed(session, shapes.PREDICTION, Ask("Prediction", "ListPredictions", request), limit))


def get_statistics(session: Session) -> Call[dict[str, int]]:
    """How many models, model versions, datasets, training runs, experiments and predictions the user has (004.10).

    `completed_runs` are those of the training runs that ended well.
    """
    answer = yield Ask("Admin", "GetStatistics", admin_pb2.GetStatisticsRequest(user_id=session.user_id))
    found = {each.entity: each for each in answer.entities}
    completed = (status.count for status in found["runs"].by_status if status.status == "completed")
    return {name: found[entity].count for name, entity in COUNTED.items()} | {"completed_runs": sum(completed)}


def search(session: Session, query: str, limit: int | None = 50) -> Call[list[Document]]:
    """The user's records whose texts have all words of a query, newest first: of which kind, their ids and names."""
    request = search_pb2.SearchRecordsRequest(query=query, user_id=session.user_id, entities=list(NUMBERED_TEXTS))
    found = yield from collected(Ask("Search", "SearchRecords", request), "results", limit, 1000)
    for entity in NUMBERED_TEXTS:
        yield from numbers_of(session, entity, (each.id for each in found if each.entity == entity))
    return [
        {"kind": NUMBERED_TEXTS[each.entity], "id": session.number(each.entity, each.id), "name": each.name}
        for each in found
    ]


NUMBERED_TEXTS = {"models": "model", "datasets": "dataset", "runs": "training run", "experiments": "experiment"}
"""The kinds that are searched, with what one of them is called."""


def _got(session: Session, shape: shapes.Shape, service: str, request: type[Any], given: Id) -> Call[Document | None]:
    try:
        found = yield from id_of(session, shape, given)
    except NotFound:
        return None
    method = request.__name__.removesuffix("Request")
    return (yield from got(session, shape, Ask(service, method, request(id=found))))
