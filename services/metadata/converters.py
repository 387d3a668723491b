"""Protobuf messages to what the domain has, and back, by equal field names.

The plan for a pair of message and dataclass is read once from the message's descriptor; no field is named in it. The
one exception are metrics, which come by the thousand.
"""

import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from modelyard.common.v1 import metric_pb2
from modelyard.metadata.v1 import artifact_pb2, dataset_pb2, job_pb2, model_pb2, project_pb2, run_pb2
from services.metadata.domain import declarations, entities
from services.metadata.domain.artifacts import Moved, Written
from services.metadata.domain.declarations import EPOCH
from services.metadata.domain.errors import FieldMalformed, FieldMissing
from services.metadata.domain.paging import PageRequest
from services.metadata.domain.publishing import Publication

M = TypeVar("M", bound=Message)
D = TypeVar("D")
Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Field:
    """How one field is carried over."""

    name: str
    has_presence: bool
    decode: Convert | None
    """From the message's value to the domain's; None where they are the same."""
    encode: Convert | None


class Codec(Generic[M, D]):
    """Carries values between a message class and a dataclass."""

    def __init__(self, message: type[M], kind: type[D]) -> None:
        self.message = message
        self._kind = kind
        hints = typing.get_type_hints(kind)
        described: Iterable[Any] = message.DESCRIPTOR.fields
        self._fields = [_field(each, hints[each.name]) for each in described if each.name in hints]

    def decode(self, message: M) -> D:
        """A message as the dataclass; what it leaves empty keeps its default. InvalidInput for what cannot be."""
        values: dict[str, Any] = {}
        for field in self._fields:
            if field.has_presence and not message.HasField(field.name):
                continue
            value = getattr(message, field.name)
            if value or field.has_presence:
                values[field.name] = _decoded(field, value)
        return self._kind(**values)

    def encode(self, record: D) -> M:
        """The dataclass as a message."""
        values: dict[str, Any] = {}
        for field in self._fields:
            value = getattr(record, field.name)
            if value is not None:
                values[field.name] = value if field.encode is None else field.encode(value)
        return self.message(**values)

    def encode_all(self, records: Iterable[D]) -> list[M]:
        """Many of them."""
        return [self.encode(record) for record in records]


def _decoded(field: Field, value: Any) -> Any:
    if field.decode is None:
        return value
    try:
        return field.decode(value)
    except (ValueError, OverflowError) as error:
        raise FieldMalformed(field.name, problem="impossible", advice=f"It says {error}") from None


def _field(described: FieldDescriptor, hint: Any) -> Field:
    if described.is_repeated and described.message_type is not None:
        return Field(described.name, False, *_nested_all(described.message_type, declarations.item_of(hint)))
    if described.is_repeated:
        return Field(described.name, False, list, None)
    if described.enum_type is not None:
        return Field(described.name, False, *_enum(described.enum_type, declarations.plain(hint)))
    if described.message_type is None:
        return Field(described.name, False, None, None)
    known = WELL_KNOWN.get(described.message_type.full_name)
    return Field(described.name, True, *(known or _nested(described.message_type, declarations.plain(hint))))


def _enum(described: EnumDescriptor, kind: type[StrEnum]) -> tuple[Convert, Convert]:
    """JOB_STATUS_QUEUED is "queued"."""
    prefix = described.values_by_number[0].name.removesuffix("UNSPECIFIED")
    names = {each.number: each.name.removeprefix(prefix).lower() for each in described.values if each.number}
    words = {number: kind(name) for number, name in names.items()}
    numbers = {word: number for number, word in words.items()}

    def decode(number: int) -> StrEnum:
        if number not in words:
            raise ValueError(f"{number}, which {described.name} does not have")
        return words[number]

    return decode, numbers.__getitem__


def _nested(described: Descriptor, kind: type[Any]) -> tuple[Convert, Convert]:
    codec: Codec[Any, Any] = Codec(GetMessageClass(described), kind)
    return codec.decode, codec.encode


def _nested_all(described: Descriptor, kind: type[Any] | None) -> tuple[Convert, Convert]:
    codec: Codec[Any, Any] = Codec(GetMessageClass(described), kind or object)
    return lambda messages: [codec.decode(each) for each in messages], codec.encode_all


def moment_of(timestamp: Timestamp) -> datetime:
    """A timestamp to the microsecond, aware; OverflowError outside the years 1 to 9999."""
    return EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1000)


def timestamp_of(moment: datetime) -> Timestamp:
    """An aware time as a timestamp."""
    since = moment - EPOCH
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)


def span_of(duration: Duration) -> timedelta:
    """A duration to the microsecond, or the longest there is."""
    try:
        return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)
    except OverflowError:
        return timedelta.max if duration.seconds > 0 else timedelta.min


def document_of(struct: Struct) -> dict[str, Any]:
    """A struct as a dictionary."""
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return document_of(value.struct_value)
    if kind == "list_value":
        return [_plain(each) for each in value.list_value.values]
    return None if kind in (None, "null_value") else getattr(value, kind)


WELL_KNOWN: dict[str, tuple[Convert, Convert | None]] = {
    "google.protobuf.Timestamp": (moment_of, timestamp_of),
    "google.protobuf.Struct": (document_of, None),  # the library takes dictionaries
}

PROJECT = Codec(project_pb2.Project, entities.Project)
DATASET = Codec(dataset_pb2.Dataset, entities.Dataset)
MODEL = Codec(model_pb2.Model, entities.Model)
VERSION = Codec(model_pb2.ModelVersion, entities.ModelVersion)
RUN = Codec(run_pb2.Run, entities.Run)
METRIC = Codec(metric_pb2.Metric, entities.Metric)
JOB = Codec(job_pb2.Job, entities.Job)
JOB_ERROR = Codec(job_pb2.JobError, entities.JobError)
ARTIFACT = Codec(artifact_pb2.Artifact, entities.Artifact)
WRITTEN = Codec(artifact_pb2.ActivateArtifactRequest, Written)
MOVED = Codec(artifact_pb2.RelocateArtifactRequest, Moved)


class _ListRequest(typing.Protocol):
    user_id: str
    page_size: int
    page_token: str


def page_of(request: _ListRequest, **filters: Any) -> PageRequest:
    """A list request, with the filters that are not empty."""
    where = {name: value for name, value in {"user_id": request.user_id, **filters}.items() if value}
    return PageRequest(where, size=request.page_size, token=request.page_token)


def artifacts_page_of(request: artifact_pb2.ListArtifactsRequest) -> PageRequest:
    """A list of artifacts may be narrowed to a place, a project, a state, and to those long unchanged or expiring."""
    if request.key and not request.placement:
        raise FieldMissing("placement")
    state = ARTIFACT.decode(artifact_pb2.Artifact(state=request.state)).state if request.state else None
    place = {"placement": request.placement, "key": request.key, "project_id": request.project_id}
    page = page_of(request, state=state, **place)
    if request.HasField("updated_before"):
        page.before["update_time"] = _time("updated_before", request.updated_before)
    if request.HasField("expiring_before"):
        page.before["expire_time"] = _time("expiring_before", request.expiring_before)
    return page


def jobs_page_of(request: job_pb2.ListJobsRequest) -> PageRequest:
    """A list of jobs may be narrowed to one status."""
    return page_of(request, status=JOB.decode(job_pb2.Job(status=request.status)).status if request.status else None)


def retry_time_of(request: job_pb2.FailJobRequest) -> datetime | None:
    """When a job is to be tried again, or None."""
    return _time("retry_time", request.retry_time) if request.HasField("retry_time") else None


def publication_of(request: model_pb2.PublishModelVersionRequest, now: datetime) -> Publication:
    """All that a finished training leaves to record."""
    return Publication(
        version=VERSION.decode(request.version),
        model_id=request.model_id,
        model_name=request.model_name,
        user_id=request.user_id,
        project_id=request.project_id or None,
        artifact=WRITTEN.decode(request.artifact),
        run=RUN.decode(request.run),
        metrics=metrics_of(request.run.id, request.metrics, now, split="test"),
    )


def metrics_of(
    run_id: str, messages: Sequence[metric_pb2.Metric], now: datetime, split: str = ""
) -> list[entities.Metric]:
    """Metrics of a run; one without a time was measured now, one without a split on the rows that `split` names."""
    try:
        return [
            entities.Metric(
                run_id,
                each.name,
                each.split or split,
                each.step,
                each.value,
                moment_of(each.measure_time) if each.HasField("measure_time") else now,
            )
            for each in messages
        ]
    except OverflowError as error:
        raise FieldMalformed("measure_time", problem="impossible", advice=f"It says {error}") from None


def _time(name: str, timestamp: Timestamp) -> datetime:
    try:
        return moment_of(timestamp)
    except OverflowError as error:
        raise FieldMalformed(name, problem="impossible", advice=f"It says {error}") from None
