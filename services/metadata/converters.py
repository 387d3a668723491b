"""Protobuf messages to what the domain has, and back, by equal field names.

The plan for a pair of message and dataclass is read once from the message's descriptor; no field is named in it. The
one exception are metrics, which come by the thousand.
"""

import typing
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
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
from typing_extensions import override

from modelyard.common.v1 import metric_pb2
from modelyard.metadata.v1 import (
    account_pb2,
    admin_pb2,
    artifact_pb2,
    campaign_pb2,
    dataset_pb2,
    experiment_pb2,
    job_pb2,
    model_pb2,
    postback_pb2,
    prediction_pb2,
    project_pb2,
    run_pb2,
    search_pb2,
    story_pb2,
)
from services.metadata.domain import declarations, entities, tiers
from services.metadata.domain.artifacts import Moved, Written
from services.metadata.domain.declarations import EPOCH
from services.metadata.domain.errors import FieldMalformed, FieldMissing
from services.metadata.domain.exporting import Digest, Wish
from services.metadata.domain.importing import Part
from services.metadata.domain.models import Resolved, Wanted
from services.metadata.domain.paging import PageRequest
from services.metadata.domain.posters import Tallies
from services.metadata.domain.publishing import Publication
from services.metadata.domain.sampling import Sampled
from services.metadata.domain.statistics import Counted
from services.metadata.domain.transfers import Batch
from services.metadata.domain.usage import InUse

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
        self._fields = {each.name: _field(each, hints[each.name]) for each in described if each.name in hints}

    def decode(self, message: M) -> D:
        """A message as the dataclass; what it leaves empty keeps its default. InvalidInput for what cannot be."""
        values: dict[str, Any] = {}
        for field in self._fields.values():
            if field.has_presence and not message.HasField(field.name):
                continue
            value = getattr(message, field.name)
            if value or field.has_presence:
                values[field.name] = _decoded(field, value)
        return self._kind(**values)

    def filters(self, request: Message) -> dict[str, Any]:
        """What a request to list says of the dataclass's own fields, where it says something."""
        described: Iterable[Any] = request.DESCRIPTOR.fields
        named = (
            (self._fields[each.name], getattr(request, each.name)) for each in described if each.name in self._fields
        )
        return {field.name: _decoded(field, value) for field, value in named if value}

    def encode(self, record: D) -> M:
        """The dataclass as a message."""
        values: dict[str, Any] = {}
        for field in self._fields.values():
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
        return Field(described.name, False, *_many(*_one(described.message_type, declarations.item_of(hint))))
    if described.is_repeated:
        return Field(described.name, False, list, None)
    if described.enum_type is not None:
        return Field(described.name, False, *_enum(described.enum_type, declarations.plain(hint)))
    if described.message_type is None:
        return Field(described.name, described.has_presence, None, None)
    return Field(described.name, True, *_one(described.message_type, declarations.plain(hint)))


def _one(described: Descriptor, kind: type[Any] | None) -> tuple[Convert, Convert | None]:
    return WELL_KNOWN.get(described.full_name) or _nested(described, kind or object)


def _many(decode: Convert, encode: Convert | None) -> tuple[Convert, Convert | None]:
    encode_all = encode and (lambda values: [encode(each) for each in values])
    return lambda messages: [decode(each) for each in messages], encode_all


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


class UserCodec(Codec[account_pb2.User, entities.User]):
    """Users, told together with what their tiers allow."""

    @override
    def encode(self, record: entities.User) -> account_pb2.User:
        """A user as a message."""
        message = super().encode(record)
        message.limits.CopyFrom(LIMITS.encode(tiers.LIMITS[record.tier]))
        return message


PROJECT = Codec(project_pb2.Project, entities.Project)
DATASET = Codec(dataset_pb2.Dataset, entities.Dataset)
MODEL = Codec(model_pb2.Model, entities.Model)
VERSION = Codec(model_pb2.ModelVersion, entities.ModelVersion)
RUN = Codec(run_pb2.Run, entities.Run)
METRIC = Codec(metric_pb2.Metric, entities.Metric)
EXPERIMENT = Codec(experiment_pb2.Experiment, entities.Experiment)
EXPERIMENT_RUN = Codec(experiment_pb2.ExperimentRun, entities.ExperimentRun)
PREDICTION = Codec(prediction_pb2.Prediction, entities.Prediction)
JOB = Codec(job_pb2.Job, entities.Job)
JOB_ERROR = Codec(job_pb2.JobError, entities.JobError)
ARTIFACT = Codec(artifact_pb2.Artifact, entities.Artifact)
USER = UserCodec(account_pb2.User, entities.User)
SESSION = Codec(account_pb2.Session, entities.Session)
RESERVATION = Codec(account_pb2.Reservation, entities.Reservation)
LIMITS = Codec(account_pb2.TierLimits, tiers.Limits)
IN_USE = Codec(account_pb2.Usage, InUse)
CAMPAIGN = Codec(campaign_pb2.Campaign, entities.Campaign)
EVENT_CONTEXT = Codec(campaign_pb2.EventContext, entities.EventContext)
POSTBACK = Codec(postback_pb2.Postback, entities.Postback)
STORY = Codec(story_pb2.Story, entities.Story)
WRITTEN = Codec(artifact_pb2.ActivateArtifactRequest, Written)
MOVED = Codec(artifact_pb2.RelocateArtifactRequest, Moved)
WANTED = Codec(model_pb2.ResolveModelVersionRequest, Wanted)
RESOLVED = Codec(model_pb2.ResolveModelVersionResponse, Resolved)
DIGEST = Codec(admin_pb2.EntityDigest, Digest)


class _WithArtifact(typing.Protocol):
    @property
    def artifact(self) -> artifact_pb2.ActivateArtifactRequest: ...

    def HasField(self, field_name: typing.Literal["artifact"], /) -> bool: ...  # noqa: N802 (protobuf's name)


def written_of(request: _WithArtifact) -> Written | None:
    """Where the bytes of what is recorded were written, if the request tells."""
    return WRITTEN.decode(request.artifact) if request.HasField("artifact") else None


def page_of(request: Any, codec: Codec[Any, Any]) -> PageRequest:
    """A request to list, narrowed by whatever attributes it names."""
    return PageRequest(
        codec.filters(request),
        size=request.page_size,
        token=request.page_token,
        filter=request.filter,
        order_by=request.order_by,
    )


def artifacts_page_of(request: artifact_pb2.ListArtifactsRequest) -> PageRequest:
    """A list of artifacts may also be narrowed to those long unchanged or expiring."""
    if request.key and not request.placement:
        raise FieldMissing("placement")
    page = page_of(request, ARTIFACT)
    if request.HasField("updated_before"):
        page.before["update_time"] = _time("updated_before", request.updated_before)
    if request.HasField("expiring_before"):
        page.before["expire_time"] = _time("expiring_before", request.expiring_before)
    return page


def predictions_page_of(request: prediction_pb2.ListPredictionsRequest) -> PageRequest:
    """A list of predictions may also be narrowed to those made before a time."""
    page = page_of(request, PREDICTION)
    if request.HasField("predicted_before"):
        page.before["predict_time"] = _time("predicted_before", request.predicted_before)
    return page


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
                each.value + 0.0,  # not every database keeps the sign of zero
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


def tiers_of() -> list[account_pb2.TierInfo]:
    """All tiers."""
    users = (USER.encode(entities.User(tier=tier)) for tier in tiers.LIMITS)
    return [account_pb2.TierInfo(tier=user.tier, limits=user.limits) for user in users]


def tallies_of(tallies: Tallies) -> postback_pb2.PostbackStatistics:
    """How many images there are."""
    by = {
        f"by_{name}": [postback_pb2.ValueCount(value=value, count=count) for value, count in counts]
        for name, counts in tallies.by.items()
    }
    return postback_pb2.PostbackStatistics(count=tallies.count, **by)


def series_of(sampled: Sampled) -> run_pb2.MetricSeries:
    """A series with the points that were chosen."""
    series = sampled.series
    told = {name: getattr(series, name) for name in ("run_id", "name", "split", "count")}
    told |= {name: getattr(series, name) for name in ("min_value", "max_value", "mean_value")}
    return run_pb2.MetricSeries(**told, metrics=METRIC.encode_all(sampled.metrics))


def search_result_of(text: entities.SearchText) -> search_pb2.SearchResult:
    """A record that was found."""
    told = {"entity": text.entity, "id": text.record_id, "name": text.name}
    return search_pb2.SearchResult(**told, create_time=timestamp_of(text.create_time))


def statistics_of(counted: Iterable[Counted]) -> admin_pb2.Statistics:
    """How many records there are."""
    return admin_pb2.Statistics(
        entities=[
            admin_pb2.EntityCount(
                entity=each.entity,
                count=each.count,
                by_status=[admin_pb2.StatusCount(status=name, count=count) for name, count in each.by_status.items()],
            )
            for each in counted
        ]
    )


def wish_of(request: admin_pb2.ExportRecordsRequest) -> Wish:
    """What to export."""
    return Wish(tuple(request.entities), request.after_entity, request.after_position, request.batch_size)


def batch_of(batch: Batch) -> admin_pb2.RecordBatch:
    """A batch as a message."""
    return admin_pb2.RecordBatch(
        entity=batch.entity, records=batch.records, position=batch.position, sha256=batch.sha256
    )


async def parts_of(requests: AsyncIterator[admin_pb2.ImportRecordsRequest]) -> AsyncIterator[Part]:
    """The parts of an import, as they come."""
    async for request in requests:
        given = request.batch if request.HasField("batch") else None
        batch = given and Batch(given.entity, list(given.records), given.position, given.sha256)
        yield Part(request.import_id, batch, request.last)


def import_of(note: entities.Import) -> admin_pb2.Import:
    """How far an import is."""
    return admin_pb2.Import(
        import_id=note.id, entity=note.entity, position=note.position, count=note.count, complete=note.complete
    )
