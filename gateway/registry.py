"""The registry's records as JSON, and by the integer ids that its users know them by.

A kind is declared once: which of its message's fields are told, under which names, and to what they refer.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway import rendering
from gateway.peers import Peers
from gateway.rendering import Json
from modelyard.metadata.v1 import dataset_pb2, experiment_pb2, model_pb2, prediction_pb2, registry_pb2, run_pb2
from servicekit import errors

RUN_STATUS = "RUN_STATUS_"
LARGEST_NUMBER = 2**63 - 1
TIMES = {"createdAt": "create_time", "updatedAt": "update_time"}


class RecordNotFound(errors.NotFound):
    """You have no {label} with the id {id}. The list of them shows what there is."""


@dataclass(frozen=True)
class Kind:
    """One kind of record."""

    entity: str
    """Its name in the contracts."""
    label: str
    peer: str
    """Which of the peers has it."""
    message: str
    """Name of its message, in the names of methods."""
    requests: Any
    """The module that has its requests."""
    told: Mapping[str, str]
    """Fields of the message, by their names here."""
    refers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Fields that hold ids, by their names here, each with the kind that it is the id of."""
    owner: str = ""
    """The one of those whose record names the user; empty when the record itself does."""


MODELS = Kind(
    "models", "model", "models", "Model", model_pb2,
    {
        "name": "name", "modelType": "kind", "framework": "framework", "description": "description",
        "config": "config", "tags": "tags", "latestVersion": "latest_version", **TIMES,
    },
)  # fmt: skip
VERSIONS = Kind(
    "model_versions", "model version", "models", "ModelVersion", model_pb2,
    {
        "version": "label", "number": "version", "status": "status", "description": "description",
        "config": "config", "checkpointPath": "uri", "fileSize": "file_size", "tags": "tags", **TIMES,
    },
    {
        "modelId": ("model_id", "models"), "datasetId": ("dataset_id", "datasets"),
        "trainingRunId": ("run_id", "runs"),
    },
    owner="modelId",
)  # fmt: skip
DATASETS = Kind(
    "datasets", "dataset", "datasets", "Dataset", dataset_pb2,
    {
        "name": "name", "description": "description", "path": "uri", "numSamples": "row_count",
        "columns": "column_names", "fileSize": "file_size", "splits": "splits", "source": "source", "tags": "tags",
        **TIMES,
    },
)  # fmt: skip
RUNS = Kind(
    "runs", "training run", "runs", "Run", run_pb2,
    {
        "name": "name", "status": "status", "totalEpochs": "planned_epochs", "hyperparameters": "hyperparameters",
        "environment": "environment", "notes": "notes", "error": "error", "tags": "tags", "startedAt": "start_time",
        "completedAt": "end_time", **TIMES,
    },
    {
        "modelId": ("model_id", "models"), "modelVersionId": ("base_version_id", "model_versions"),
        "datasetId": ("dataset_id", "datasets"), "experimentId": ("experiment_id", "experiments"),
    },
)  # fmt: skip
EXPERIMENTS = Kind(
    "experiments", "experiment", "experiments", "Experiment", experiment_pb2,
    {
        "name": "name", "description": "description", "goal": "goal", "conclusion": "conclusion", "status": "status",
        "tags": "tags", **TIMES,
    },
)  # fmt: skip
EXPERIMENT_RUNS = Kind(
    "experiment_runs", "experiment run", "experiments", "ExperimentRun", experiment_pb2,
    {"variant": "variant", "notes": "notes", **TIMES},
    {"experimentId": ("experiment_id", "experiments"), "trainingRunId": ("run_id", "runs")},
    owner="experimentId",
)  # fmt: skip
PREDICTIONS = Kind(
    "predictions", "prediction", "predictions", "Prediction", prediction_pb2,
    {
        "inputData": "inputs", "outputData": "outputs", "confidence": "confidence", "inferenceTimeMs": "latency_ms",
        "actual": "actual", "source": "source", "tags": "tags", "timestamp": "predict_time",
    },
    {"modelId": ("model_id", "models"), "modelVersionId": ("model_version_id", "model_versions")},
)  # fmt: skip
KINDS = {kind.entity: kind for kind in (MODELS, VERSIONS, DATASETS, RUNS, EXPERIMENTS, EXPERIMENT_RUNS, PREDICTIONS)}


async def owned(peers: Peers, user: str, kind: Kind, given: int | str) -> Any:
    """A record of this user, by its number or its id. Another's does not exist for them: what is said of it is what is
    said of one that nobody has."""
    missing = RecordNotFound(label=kind.label, id=str(given).removeprefix("/"))
    try:
        record = await _found(peers, kind, given)
        if kind.owner:
            name, entity = kind.refers[kind.owner]
            await owned(peers, user, KINDS[entity], f"/{getattr(record, name)}")
        elif record.user_id != user:
            raise missing
    except RecordNotFound:
        raise missing from None
    except AioRpcError as error:
        if error.code() is not StatusCode.NOT_FOUND:
            raise
        raise missing from error
    return record


async def _found(peers: Peers, kind: Kind, given: int | str) -> Any:
    record_id = await _id_of(peers, kind, given)
    request = getattr(kind.requests, f"Get{kind.message}Request")(id=record_id)
    return await getattr(getattr(peers, kind.peer), f"Get{kind.message}")(request, **peers.quick)


async def _id_of(peers: Peers, kind: Kind, given: int | str) -> str:
    """The id of a record; a text of digits is a number, unless a slash before it says that it is an id."""
    text = str(given)
    if not (text.isascii() and text.isdigit()):
        return text.removeprefix("/")
    if int(text) > LARGEST_NUMBER:
        raise RecordNotFound(label=kind.label, id=text)
    request = registry_pb2.FindNumberedRecordsRequest(entity=kind.entity, numbers=[int(text)])
    return (await peers.numbers.FindNumberedRecords(request, **peers.quick)).ids[0]


async def shown(peers: Peers, kind: Kind, records: Sequence[Any]) -> list[Json]:
    """Records as JSON, all ids as numbers; one that was deleted meanwhile is left out."""
    wanted: dict[str, set[str]] = {kind.entity: {record.id for record in records}}
    for name, entity in kind.refers.values():
        wanted.setdefault(entity, set()).update(getattr(record, name) for record in records)
    numbers = dict(zip(wanted, await asyncio.gather(*(_numbers(peers, *each) for each in wanted.items())), strict=True))
    return [_one(kind, record, numbers) for record in records if record.id in numbers[kind.entity]]


async def _numbers(peers: Peers, entity: str, ids: Iterable[str]) -> dict[str, int]:
    """The numbers of records; those that are gone have none."""
    known = sorted(filter(None, ids))
    if not known:
        return {}
    try:
        return await _ask(peers, entity, known)
    except AioRpcError as error:
        if error.code() is not StatusCode.NOT_FOUND:
            raise
        if len(known) == 1:
            return {}
    half = len(known) // 2
    return {**await _numbers(peers, entity, known[:half]), **await _numbers(peers, entity, known[half:])}


async def _ask(peers: Peers, entity: str, ids: Sequence[str]) -> dict[str, int]:
    request = registry_pb2.NumberRecordsRequest(entity=entity, ids=ids)
    answer = await peers.numbers.NumberRecords(request, **peers.quick)
    return dict(zip(ids, answer.numbers, strict=True))


def _one(kind: Kind, record: Any, numbers: Mapping[str, Mapping[str, int]]) -> Json:
    refers = {name: numbers[entity].get(getattr(record, at)) for name, (at, entity) in kind.refers.items()}
    told = {name: _plain(record, at) for name, at in kind.told.items()}
    if kind is VERSIONS:
        told["version"] = told["version"] or str(record.version)
    return {"id": numbers[kind.entity][record.id], "recordId": record.id, **refers, **told}


def _plain(record: Any, name: str) -> Any:
    """A field as JSON: null where it is absent."""
    value, described = getattr(record, name), record.DESCRIPTOR.fields_by_name[name]
    if described.has_presence and not record.HasField(name):
        return {} if isinstance(value, Struct) and name != "actual" else None
    if isinstance(value, Struct):
        return rendering.plain(value)
    if isinstance(value, Timestamp):
        return rendering.moment(value)
    if described.enum_type:
        return run_pb2.RunStatus.Name(value).removeprefix(RUN_STATUS).lower()
    return list(value) if described.is_repeated else value


async def referred(peers: Peers, user: str, kind: Kind, given: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a message that refer to other records of this user, from their names here."""
    found = {}
    for name, (at, entity) in kind.refers.items():
        if given.get(name) is not None:
            found[at] = (await owned(peers, user, KINDS[entity], given[name])).id
    return found


def fields_of(kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
    """The other fields of a message, from their names here."""
    described = getattr(kind.requests, kind.message).DESCRIPTOR.fields_by_name
    told = {at: given[name] for name, at in kind.told.items() if given.get(name) is not None}
    return {at: STATUSES[value] if described[at].enum_type else value for at, value in told.items()}


STATUSES = {name.removeprefix(RUN_STATUS).lower(): number for name, number in run_pb2.RunStatus.items() if number}
"""The statuses of runs, by the words for them."""
