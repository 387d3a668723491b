"""The registry over HTTP: models, versions, datasets, runs, experiments and predictions, by integer ids."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from gateway import registry, rendering
from gateway.flows.datasets import id_for
from gateway.identity import User
from gateway.peers import Peers
from gateway.registry import (
    DATASETS,
    EXPERIMENT_RUNS,
    EXPERIMENTS,
    MODELS,
    PREDICTIONS,
    RUNS,
    VERSIONS,
    Kind,
    owned,
)
from gateway.routes import wishes
from gateway.routes.datasets import RepeatKey
from gateway.routes.state import peers_of
from modelyard.common.v1.metric_pb2 import Metric
from modelyard.metadata.v1.admin_pb2 import GetStatisticsRequest
from modelyard.metadata.v1.run_pb2 import (
    ListMetricsRequest,
    LogHyperparametersRequest,
    LogMetricsRequest,
    Run,
    UpdateRunRequest,
)

router = APIRouter(prefix="/api/registry", tags=["registry"])

COUNTED = {
    "models": "models",
    "modelVersions": "model_versions",
    "datasets": "datasets",
    "trainingRuns": "runs",
    "experiments": "experiments",
    "predictions": "predictions",
}
Asked = dict[str, Any]


def _paging(
    page_size: Annotated[int, Query(ge=1, le=1000)] = 50,
    page_token: str = "",
    filter: Annotated[str, Query(description="Only records of which this is true.")] = "",  # noqa: A002
    order_by: Annotated[str, Query(alias="orderBy", description="Fields to list by, like: name desc.")] = "",
) -> Asked:
    """Which page of which list."""
    return {"page_size": page_size, "page_token": page_token, "filter": filter, "order_by": order_by}


Paging = Annotated[Asked, Depends(_paging)]


async def _list(peers: Peers, kind: Kind, called: str, /, **asked: Any) -> Response:
    request = getattr(kind.requests, f"List{kind.message}sRequest")(**asked)
    page = await getattr(getattr(peers, kind.peer), f"List{kind.message}s")(request, **peers.quick)
    records = await registry.shown(peers, kind, getattr(page, kind.entity))
    return rendering.answer({called: records, "nextPageToken": page.next_page_token})


async def _create(peers: Peers, user: str, kind: Kind, given: Asked, repeat_key: str, **fields: Any) -> Response:
    """Create a record from what was given and from other fields of its message."""
    refers = await registry.referred(peers, user, kind, given)
    told = {name: _stamped(value) for name, value in registry.fields_of(kind, given).items()}
    owner = {} if kind.owner else {"user_id": user}
    message = getattr(kind.requests, kind.message)(**{**told, **refers, **owner, **fields})
    field = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.message).lower()
    request_id = id_for(user, f"registry {kind.entity}", repeat_key)
    request = getattr(kind.requests, f"Create{kind.message}Request")(**{field: message, "request_id": request_id})
    made = await getattr(getattr(peers, kind.peer), f"Create{kind.message}")(request, **peers.quick)
    return await _answer(peers, kind, made, 201)


async def _get(peers: Peers, user: str, kind: Kind, record_id: str) -> Response:
    return await _answer(peers, kind, await owned(peers, user, kind, record_id))


async def _answer(peers: Peers, kind: Kind, record: Any, status: int = 200) -> Response:
    shown = await registry.shown(peers, kind, [record])
    if not shown:
        raise registry.RecordNotFound(label=kind.label, id=record.id)
    return rendering.answer(shown[0], status)


def _stamped(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    stamp = Timestamp()
    stamp.FromDatetime(value if value.tzinfo else value.replace(tzinfo=UTC))
    return stamp


@router.get("/models")
async def list_models(request: Request, user: User, paging: Paging, name: str = "") -> Response:
    """The user's models, newest first."""
    return await _list(peers_of(request), MODELS, "models", user_id=user, name=name, **paging)


@router.post("/models", status_code=201)
async def create_model(request: Request, user: User, wish: wishes.ModelWish, repeat_key: RepeatKey = "") -> Response:
    """Create a model. A repeat under the same Idempotency-Key answers with the first one."""
    return await _create(peers_of(request), user, MODELS, wish.given, repeat_key)


@router.get("/models/{model_id}")
async def get_model(request: Request, user: User, model_id: str) -> Response:
    """A model, by its number or its id."""
    return await _get(peers_of(request), user, MODELS, model_id)


@router.get("/versions")
async def list_versions(
    request: Request, user: User, paging: Paging, model_id: Annotated[str, Query(alias="modelId")]
) -> Response:
    """The versions of a model, newest first."""
    peers = peers_of(request)
    model = await owned(peers, user, MODELS, model_id)
    return await _list(peers, VERSIONS, "versions", model_id=model.id, **paging)


@router.post("/versions", status_code=201)
async def create_version(
    request: Request, user: User, wish: wishes.VersionWish, repeat_key: RepeatKey = ""
) -> Response:
    """Add a version to a model. A repeat under the same Idempotency-Key answers with the first one."""
    return await _create(peers_of(request), user, VERSIONS, wish.given, repeat_key)


@router.get("/versions/{version_id}")
async def get_version(request: Request, user: User, version_id: str) -> Response:
    """A version, by its number among all versions or its id."""
    return await _get(peers_of(request), user, VERSIONS, version_id)


@router.get("/datasets")
async def list_datasets(request: Request, user: User, paging: Paging, name: str = "") -> Response:
    """The user's datasets, newest first."""
    return await _list(peers_of(request), DATASETS, "datasets", user_id=user, name=name, **paging)


@router.post("/datasets", status_code=201)
async def create_dataset(
    request: Request, user: User, wish: wishes.DatasetWish, repeat_key: RepeatKey = ""
) -> Response:
    """Record a dataset whose bytes are kept elsewhere. A repeat under the same Idempotency-Key gets the first."""
    columns = {"column_count": len(wish.columns), "source": "registered"}
    return await _create(peers_of(request), user, DATASETS, wish.given, repeat_key, **columns)


@router.get("/datasets/{dataset_id}")
async def get_dataset(request: Request, user: User, dataset_id: str) -> Response:
    """A dataset, by its number or its id."""
    return await _get(peers_of(request), user, DATASETS, dataset_id)


@router.get("/runs")
async def list_runs(
    request: Request, user: User, paging: Paging, status: wishes.RunStatus | None = None, name: str = ""
) -> Response:
    """The user's training runs, newest first."""
    narrowed = {"status": registry.STATUSES[status]} if status else {}
    return await _list(peers_of(request), RUNS, "runs", user_id=user, name=name, **narrowed, **paging)


@router.post("/runs", status_code=201)
async def create_run(request: Request, user: User, wish: wishes.RunWish, repeat_key: RepeatKey = "") -> Response:
    """Record that a training begins; now, unless it is queued or says when it did."""
    peers, given = peers_of(request), wish.given
    if wish.status != "queued" and wish.started_at is None:
        given["startedAt"] = datetime.now(UTC)
    given["status"] = wish.status
    if wish.model_version_id is not None and wish.model_id is None:
        version = await owned(peers, user, VERSIONS, wish.model_version_id)
        given["modelId"] = f"/{version.model_id}"
    return await _create(peers, user, RUNS, given, repeat_key)


@router.get("/runs/{run_id}")
async def get_run(request: Request, user: User, run_id: str) -> Response:
    """A training run, by its number or its id."""
    return await _get(peers_of(request), user, RUNS, run_id)


@router.patch("/runs/{run_id}")
async def change_run(request: Request, user: User, run_id: str, wish: wishes.RunChange) -> Response:
    """Change what is given of a training run. One that ends gets the time of that by itself."""
    peers = peers_of(request)
    run = await owned(peers, user, RUNS, run_id)
    told = {name: _stamped(value) for name, value in registry.fields_of(RUNS, wish.given).items()}
    change = UpdateRunRequest(run=Run(**{**told, "id": run.id}), update_mask=FieldMask(paths=list(told)))
    return await _answer(peers, RUNS, await peers.runs.UpdateRun(change, **peers.quick))


@router.get("/runs/{run_id}/hyperparameters")
async def get_hyperparameters(request: Request, user: User, run_id: str) -> Response:
    """The hyperparameters of a run, by name."""
    run = await owned(peers_of(request), user, RUNS, run_id)
    return rendering.answer({"hyperparameters": rendering.plain(run.hyperparameters)})


@router.post("/runs/{run_id}/hyperparameters", status_code=201)
async def log_hyperparameters(request: Request, user: User, run_id: str, wish: wishes.HyperparametersWish) -> Response:
    """Add hyperparameters to a run, each in place of one of the same name; all that it has then."""
    peers = peers_of(request)
    run = await owned(peers, user, RUNS, run_id)
    wanted = LogHyperparametersRequest(id=run.id, hyperparameters=wish.given["hyperparameters"])
    run = await peers.runs.LogHyperparameters(wanted, **peers.quick)
    return rendering.answer({"hyperparameters": rendering.plain(run.hyperparameters)}, 201)


@router.get("/runs/{run_id}/metrics")
async def list_metrics(
    request: Request,
    user: User,
    run_id: str,
    name: str = "",
    page_size: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    page_token: str = "",
) -> Response:
    """The metrics of a run in the order of name, split and step."""
    peers = peers_of(request)
    run = await owned(peers, user, RUNS, run_id)
    wanted = ListMetricsRequest(run_id=run.id, name=name, page_size=page_size, page_token=page_token)
    page = await peers.runs.ListMetrics(wanted, **peers.quick)
    return rendering.answer({"metrics": list(map(_metric, page.metrics)), "nextPageToken": page.next_page_token})


def _metric(metric: Metric) -> rendering.Json:
    moment = rendering.moment(metric.measure_time)
    told = {"name": metric.name, "value": metric.value, "step": metric.step, "epoch": metric.step}
    return {**told, "split": metric.split, "timestamp": moment}


@router.post("/runs/{run_id}/metrics", status_code=201)
async def log_metrics(request: Request, user: User, run_id: str, wish: wishes.MetricsWish) -> Response:
    """Add metrics to a run, all or none, each in place of one of the same name, split and step; how many."""
    peers = peers_of(request)
    run = await owned(peers, user, RUNS, run_id)
    metrics = [
        Metric(
            name=each.name,
            value=each.value,
            step=each.step,
            split=each.split,
            measure_time=_stamped(each.timestamp),
        )
        for each in wish.metrics
    ]
    logged = await peers.runs.BatchLogMetrics(LogMetricsRequest(run_id=run.id, metrics=metrics), **peers.quick)
    return rendering.answer({"count": logged.count}, 201)


@router.get("/experiments")
async def list_experiments(request: Request, user: User, paging: Paging, name: str = "") -> Response:
    """The user's experiments, newest first."""
    return await _list(peers_of(request), EXPERIMENTS, "experiments", user_id=user, name=name, **paging)


@router.post("/experiments", status_code=201)
async def create_experiment(
    request: Request, user: User, wish: wishes.ExperimentWish, repeat_key: RepeatKey = ""
) -> Response:
    """Create an experiment. A repeat under the same Idempotency-Key answers with the first one."""
    return await _create(peers_of(request), user, EXPERIMENTS, wish.given, repeat_key)


@router.get("/experiments/{experiment_id}")
async def get_experiment(request: Request, user: User, experiment_id: str) -> Response:
    """An experiment, by its number or its id."""
    return await _get(peers_of(request), user, EXPERIMENTS, experiment_id)


@router.get("/experiments/{experiment_id}/runs")
async def list_experiment_runs(request: Request, user: User, experiment_id: str, paging: Paging) -> Response:
    """Which runs are part of an experiment, those added last first."""
    peers = peers_of(request)
    experiment = await owned(peers, user, EXPERIMENTS, experiment_id)
    return await _list(peers, EXPERIMENT_RUNS, "runs", experiment_id=experiment.id, **paging)


@router.post("/experiments/{experiment_id}/runs", status_code=201)
async def add_experiment_run(
    request: Request, user: User, experiment_id: str, wish: wishes.ExperimentRunWish, repeat_key: RepeatKey = ""
) -> Response:
    """Make a run part of an experiment. A repeat under the same Idempotency-Key answers with the first."""
    given = {**wish.given, "experimentId": experiment_id}
    return await _create(peers_of(request), user, EXPERIMENT_RUNS, given, repeat_key)


@router.get("/predictions")
async def list_predictions(
    request: Request,
    user: User,
    paging: Paging,
    model_id: Annotated[str, Query(alias="modelId")] = "",
    model_version_id: Annotated[str, Query(alias="modelVersionId")] = "",
) -> Response:
    """The user's predictions, the latest first: of a version, of a model, or all."""
    peers = peers_of(request)
    asked = {"modelId": model_id or None, "modelVersionId": model_version_id or None}
    narrowed = await registry.referred(peers, user, PREDICTIONS, asked)
    return await _list(peers, PREDICTIONS, "predictions", user_id=user, **narrowed, **paging)


@router.post("/predictions", status_code=201)
async def log_prediction(
    request: Request, user: User, wish: wishes.PredictionWish, repeat_key: RepeatKey = ""
) -> Response:
    """Log what a version said of some input. A repeat under the same Idempotency-Key answers with the first."""
    return await _create(peers_of(request), user, PREDICTIONS, wish.given, repeat_key)


@router.get("/predictions/{prediction_id}")
async def get_prediction(request: Request, user: User, prediction_id: str) -> Response:
    """A prediction, by its number or its id."""
    return await _get(peers_of(request), user, PREDICTIONS, prediction_id)


@router.get("/statistics")
async def get_statistics(request: Request, user: User) -> Response:
    """How much the user has of every kind, and how many of the training runs ended well."""
    peers = peers_of(request)
    answer = await peers.admin.GetStatistics(GetStatisticsRequest(user_id=user), **peers.quick)
    found = {each.entity: each for each in answer.entities}
    completed = sum(each.count for each in found["runs"].by_status if each.status == "completed")
    counts = {name: found[entity].count for name, entity in COUNTED.items()}
    return rendering.answer({**counts, "completedRuns": completed})
