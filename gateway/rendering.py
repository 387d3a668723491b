"""Records as the JSON that the documented paths answer with. One function a kind of record."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from fastapi.responses import Response
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.flows import packages
from modelyard.common.v1.table_pb2 import Column, ColumnKind
from modelyard.metadata.v1.artifact_pb2 import ARTIFACT_STATE_ACTIVE, Artifact, ArtifactState
from modelyard.metadata.v1.dataset_pb2 import Dataset
from modelyard.metadata.v1.job_pb2 import (
    JOB_STATUS_CANCELLED,
    JOB_STATUS_COMPLETED,
    JOB_STATUS_FAILED,
    JOB_STATUS_QUEUED,
    JOB_STATUS_RUNNING,
    Job,
)
from modelyard.metadata.v1.model_pb2 import Model, ModelVersion
from modelyard.metadata.v1.project_pb2 import Project
from modelyard.training.v1.analysis_pb2 import ArchiveContents, InspectDatasetResponse
from modelyard.training.v1.training_pb2 import Workload

Json = dict[str, Any]

STATUS_NAMES = {
    JOB_STATUS_QUEUED: "queued",
    JOB_STATUS_RUNNING: "processing",
    JOB_STATUS_COMPLETED: "completed",
    JOB_STATUS_FAILED: "failed",
    JOB_STATUS_CANCELLED: "cancelled",
}
ENDED = frozenset({JOB_STATUS_COMPLETED, JOB_STATUS_FAILED, JOB_STATUS_CANCELLED})
LISTED_DETAILS = ("workload", "metrics", "artifact_size", "artifact_sha256")
"""Of a version, those that a list shows."""


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status, headers, "application/json")


def by_name(names: Sequence[str], numbers: Sequence[float]) -> orjson.Fragment:
    """Rows of numbers, one after the other, as a list of objects, name to number."""
    in_turn = iter(numbers)
    rows = map(_row_type(tuple(names)), *[in_turn] * len(names))
    return orjson.Fragment(msgspec.json.encode(list(rows)))


@functools.lru_cache(maxsize=100)
def _row_type(names: tuple[str, ...]) -> Callable[..., Any]:
    """What makes a row of its numbers: a structure, which is made and written in half of the time of a dictionary."""
    fields = {f"column_{place}": name for place, name in enumerate(names)}
    try:
        return msgspec.defstruct("Row", [(field, float) for field in fields], rename=fields, gc=False)
    except ValueError:  # a structure has no names with quotation marks
        return lambda *numbers: dict(zip(names, numbers, strict=True))


def plain(struct: Struct) -> Json:
    """A protobuf structure as JSON: whole numbers whole, what is not a number null."""
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return plain(value.struct_value)
        case "list_value":
            return [_plain(inner) for inner in value.list_value.values]
        case "number_value":
            return _number(value.number_value)
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def _number(value: float) -> float | int | None:
    if value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value if math.isfinite(value) else None


def moment(stamp: Timestamp) -> str:
    """A time in ISO 8601, UTC."""
    return stamp.ToJsonString()


def storage_of(artifact: Artifact) -> Json:
    """Where an artifact's bytes are, how they came there, and how long they stay."""
    return {
        "backend": artifact.backend,
        "bucket": artifact.bucket,
        "key": artifact.key,
        "uri": artifact.uri,
        "state": ArtifactState.Name(artifact.state).removeprefix("ARTIFACT_STATE_").lower(),
        "copies": [{"backend": copy.backend, "bucket": copy.bucket, "uri": copy.uri} for copy in artifact.copies],
        "fallback": artifact.fallback,
        "failures": list(artifact.storage_failures),
        "expiresAt": moment(artifact.expire_time) if artifact.HasField("expire_time") else None,
        "downloadCount": artifact.download_count,
    }


def address_at(artifact: Artifact, backend: str) -> str | None:
    """The address of an artifact's copy at a backend; None where there is none."""
    return next((copy.uri for copy in artifact.copies if copy.backend == backend), None)


def dataset(record: Dataset) -> Json:
    """A dataset, as a list shows it."""
    return {
        "id": record.id,
        "userId": record.user_id,
        "projectId": record.project_id,
        "name": record.name,
        "fileName": record.file_name,
        "rowCount": record.row_count,
        "columnCount": record.column_count,
        "columnNames": list(record.column_names),
        "fileSize": record.file_size,
        "sha256": record.sha256,
        "targetColumn": record.target_column,
        "kind": record.kind,
        "source": record.source,
        "uri": record.uri,
        "status": record.status,
        "uploadedAt": moment(record.create_time),
        "downloadUrl": f"/api/datasets/{record.id}/download",
    }


def workload(found: Workload) -> Json:
    """Something that can be trained."""
    return {
        "name": found.name,
        "description": found.description,
        "inputs": list(found.inputs),
        "outputs": list(found.outputs),
        "available": list(found.available),
        "unavailable": list(found.unavailable),
        "resources": {
            "cpus": found.resources.cpus,
            "gpus": found.resources.gpus,
            "memoryBytes": found.resources.memory_bytes,
        },
        "parametersSchema": plain(found.parameters_schema),
    }


def inspection(found: InspectDatasetResponse) -> Json:
    """What is in a dataset: its schema and its first rows, or the contents of an archive."""
    if found.HasField("archive"):
        return {"archive": archive(found.archive)}
    return {
        "rowCount": found.row_count,
        "delimiter": found.format.delimiter,
        "encoding": found.format.encoding,
        "schema": [column(one) for one in found.columns],
        "sampleData": [plain(row) for row in found.sample],
    }


def archive(found: ArchiveContents) -> Json:
    """What an archive lists."""
    return {
        "fileCount": found.file_count,
        "imageCount": found.image_count,
        "unpackedSize": found.unpacked_size,
        "folders": [{"path": one.path, "imageCount": one.image_count} for one in found.folders],
        "documents": list(found.documents),
    }


def column(found: Column) -> Json:
    """What is known of a column; what is said of numbers and times only is null for others."""
    return {
        "name": found.name,
        "dtype": found.dtype,
        "null_count": found.null_count,
        "unique_count": found.unique_count,
        "unique_count_estimated": found.unique_count_estimated,
        "kind": ColumnKind.Name(found.kind).removeprefix("COLUMN_KIND_").lower(),
        "min": _plain(found.min),
        "max": _plain(found.max),
        "mean": _plain(found.mean),
        "quantiles": {str(one.probability): _plain(one.value) for one in found.quantiles},
        "quantiles_estimated": found.quantiles_estimated,
        "top_values": [{"value": one.value, "count": one.count} for one in found.top_values],
        "top_values_estimated": found.top_values_estimated,
        "top_values_error": found.top_values_error,
    }


def job(record: Job) -> Json:
    """A job, as it stands. Progress is in per cent."""
    return {
        "id": record.id,
        "jobId": record.id,
        "userId": record.user_id,
        "kind": record.kind,
        "status": STATUS_NAMES[record.status],
        "currentStage": record.stage,
        "progress": int(100 * record.progress),
        "message": record.message,
        "error": job_error(record),
        "result": plain(record.result) if record.HasField("result") else None,
        "cancelRequested": record.cancel_requested,
        "createdAt": moment(record.create_time),
        "updatedAt": moment(record.update_time),
    }


def project(record: Project, package: Artifact | None) -> Json:
    """A project, with its newest package."""
    return {
        "id": record.id,
        "userId": record.user_id,
        "name": record.name,
        "taskType": record.task_type,
        "status": record.status,
        "createdAt": moment(record.create_time),
        "updatedAt": moment(record.update_time),
        "generatedFiles": {"zipFile": zip_file(package)} if package and package.state == ARTIFACT_STATE_ACTIVE else {},
    }


def package_version(package: Artifact) -> Json:
    """One package of a project among others."""
    return {"id": package.id, "sha256": package.sha256, **zip_file(package)}


def zip_file(package: Artifact) -> Json:
    """A project's package. Cloudinary's address and name are null where Cloudinary does not hold it."""
    at_cloudinary = [copy for copy in package.copies if copy.backend == packages.CLOUDINARY]
    return {
        "cloudinaryUrl": address_at(package, packages.CLOUDINARY),
        "cloudinaryPublicId": packages.public_id(at_cloudinary[0], package.key) if at_cloudinary else None,
        "fileName": package.key.rpartition("/")[2],
        "fileSize": package.size,
        "generatedAt": moment(package.write_time),
        "downloadCount": package.download_count,
        "expiresAt": moment(package.expire_time) if package.HasField("expire_time") else None,
    }


def job_error(record: Job) -> Json | None:
    """Why a job failed, or why its last attempt did."""
    if not record.HasField("error") or record.status == JOB_STATUS_COMPLETED:
        return None
    return {"code": record.error.code, "message": record.error.message, "retryable": record.error.retryable}


def model(record: Model, version: ModelVersion) -> Json:
    """A model by its newest version, as a list shows it; by an empty one where it has none yet."""
    fields = version.details.fields
    details = {name: _plain(fields[name]) for name in LISTED_DETAILS if name in fields}
    return {
        "id": record.id,
        "userId": record.user_id,
        "projectId": record.project_id,
        "name": record.name,
        "version": version.version,
        "baseModel": version.base_model,
        "engine": version.engine,
        "workload": details.get("workload", "tabular"),
        "problemType": version.problem_type,
        "target": version.target,
        "scoreName": version.score_name,
        "score": _number(version.score) if version.id else None,
        "accuracy": str(details["metrics"]["accuracy"]) if "accuracy" in details.get("metrics", {}) else None,
        "metrics": details.get("metrics", {}),
        "datasetId": version.dataset_id,
        "size": int(details.get("artifact_size", 0)),
        "sha256": details.get("artifact_sha256", ""),
        "downloadUrl": f"/api/models/{record.id}/download",
        "createdAt": moment(record.create_time),
    }


def model_page(
    record: Model, newest: ModelVersion, versions: Sequence[ModelVersion], artifact: Artifact | None
) -> Json:
    """A model with all that is known of its newest version, where that one's package is, if it has one, and the others
    in short."""
    details = plain(newest.details)
    return model(record, newest) | {
        "features": list(newest.features),
        "leaderboard": details.get("leaderboard", []),
        "parameters": details.get("parameters", {}),
        "libraryVersions": details.get("library_versions", {}),
        "unavailable": details.get("unavailable", []),
        "rowCounts": details.get("row_counts", {}),
        "evaluation": details.get("evaluation", {}),
        "runId": newest.run_id,
        "storage": storage_of(artifact) if artifact else {},
        "azureModelUrl": address_at(artifact, "azure") if artifact else None,
        "versions": [version_line(version) for version in versions],
    }


def version_line(version: ModelVersion) -> Json:
    """A version, as its model's page lists it."""
    return {
        "id": version.id,
        "version": version.version,
        "baseModel": version.base_model,
        "engine": version.engine,
        "scoreName": version.score_name,
        "score": _number(version.score),
        "runId": version.run_id,
        "createdAt": moment(version.create_time),
    }
