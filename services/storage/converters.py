"""Between the messages of storage.proto and the domain's values."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from modelyard.storage.v1 import storage_pb2 as pb
from servicekit.errors import InvalidInput
from services.storage.domain.downloads import Download
from services.storage.domain.errors import ContextReserved, InvalidExpiry, InvalidTtl, NameMissing, PartsOutOfOrder
from services.storage.domain.model import (
    HOME,
    Access,
    BackendStatus,
    ByTicket,
    Deleted,
    Draft,
    Failure,
    Header,
    Kept,
    ObjectName,
    Page,
    Part,
    SignedAddress,
    Staged,
    StoredObject,
    Trailer,
    Unsettled,
    Upkeep,
    Usage,
)
from services.storage.domain.placements import OnError
from services.storage.domain.shelves import Shelf, Shelves
from services.storage.domain.tickets import Issued

DEFAULT_CONTENT_TYPE = "application/octet-stream"
_ACCESS = {Access.SIGNED: pb.ACCESS_SIGNED, Access.PUBLIC: pb.ACCESS_PUBLIC}
_ON_ERROR = {OnError.FAIL: pb.ON_ERROR_FAIL, OnError.NEXT: pb.ON_ERROR_NEXT}


Naming = pb.DownloadRequest | pb.GetObjectRequest | pb.DeleteObjectRequest | pb.SignDownloadRequest


def name_of(request: Naming) -> ObjectName:
    """The object a request names. Fails with NameMissing."""
    if not request.HasField("name"):
        raise NameMissing
    return ObjectName(request.name.placement, request.name.key)


async def parts_of(requests: AsyncIterator[pb.UploadRequest]) -> AsyncIterator[Part]:
    """The messages of an upload as they come."""
    async for request in requests:
        yield _part(request)


def _part(request: pb.UploadRequest) -> Part:
    match request.WhichOneof("part"):
        case "chunk":
            return request.chunk
        case "header":
            header = request.header
            return ByTicket(header.token) if header.token else header_of(header)
        case "staged":
            return Staged(request.staged)
        case "trailer":
            return trailer_of(request.trailer)
        case _:
            raise PartsOutOfOrder(got="an empty message", wanted="a header, a chunk or a trailer")


def header_of(header: pb.UploadHeader) -> Header:
    """What is told of an object before its first byte. Fails with ContextReserved."""
    if HOME in header.context:
        raise ContextReserved(name=HOME)
    draft = Draft(
        name=ObjectName(header.placement, header.key),
        owner=header.owner,
        content_type=header.content_type or DEFAULT_CONTENT_TYPE,
        file_name=header.file_name or header.key.rpartition("/")[2],
        request_id=header.request_id,
        staged_path=header.staged_path,
        tags=tuple(header.tags),
        context=dict(header.context),
    )
    return Header(draft, _time(header.expires_after, InvalidExpiry) if header.HasField("expires_after") else None)


def trailer_of(trailer: pb.UploadTrailer) -> Trailer:
    """What ends an upload."""
    return Trailer(trailer.size, trailer.sha256)


def source_of(request: pb.CopyObjectRequest) -> ObjectName:
    """The object to copy. Fails with NameMissing."""
    if not request.HasField("source"):
        raise NameMissing
    return ObjectName(request.source.placement, request.source.key)


def destination_of(request: pb.CopyObjectRequest) -> ObjectName | None:
    """The copy's name; None when it is the source's."""
    if not request.HasField("destination"):
        return None
    return ObjectName(request.destination.placement, request.destination.key)


def ttl_of(request: pb.SignDownloadRequest | pb.SignUploadRequest) -> timedelta | None:
    """How long the address is to work; None when the caller does not say."""
    return _time(request.ttl, InvalidTtl) if request.HasField("ttl") else None


def _time(duration: Duration, invalid: type[InvalidInput]) -> timedelta:
    try:
        return duration.ToTimedelta()
    except (OverflowError, ValueError) as error:
        raise invalid from error


def object_message(kept: Kept) -> pb.Object:
    """A stored object and what became of it."""
    message = _described(kept.stored)
    message.fallback = kept.fallback
    message.copies.extend(pb.Copy(backend=copy.backend, bucket=copy.bucket, uri=copy.uri) for copy in kept.copies)
    message.failures.extend(map(_failure_message, kept.failures))
    return message


def _described(stored: StoredObject) -> pb.Object:
    draft = stored.draft
    return pb.Object(
        placement=stored.name.placement,
        key=stored.name.key,
        owner=draft.owner,
        content_type=draft.content_type,
        file_name=draft.file_name,
        size=stored.size,
        sha256=stored.sha256,
        create_time=_timestamp(stored.create_time),
        backend=stored.backend,
        bucket=stored.bucket,
        uri=stored.uri,
        access=_ACCESS[draft.access],
        expire_time=_timestamp(draft.expire_time) if draft.expire_time else None,
        tags=draft.tags,
        context={name: value for name, value in draft.context.items() if name != HOME},
    )


def _failure_message(failure: Failure) -> pb.BackendFailure:
    return pb.BackendFailure(backend=failure.backend, reason=failure.reason, message=failure.message)


def header_message(download: Download, by_path: bool) -> pb.DownloadResponse:
    """What goes before the bytes, or, for a reader who would rather have the file's path, in place of them."""
    header = pb.DownloadHeader(
        object=object_message(Kept((download.stored,), fallback=False)),
        offset=download.span.start,
        length=download.span.count,
        path=download.path if by_path else "",
    )
    return pb.DownloadResponse(header=header)


def page_message(page: Page) -> pb.ListObjectsResponse:
    """One page of a list."""
    return pb.ListObjectsResponse(objects=map(object_message, page.objects), next_page_token=page.next_token)


def deleted_message(deleted: Deleted) -> pb.DeleteObjectsResponse:
    """What was deleted."""
    return pb.DeleteObjectsResponse(count=deleted.count, size=deleted.size)


def address_message(address: SignedAddress) -> pb.SignDownloadResponse:
    """A signed address."""
    return pb.SignDownloadResponse(uri=address.uri, expire_time=_timestamp(address.expire_time))


def ticket_message(issued: Issued) -> pb.UploadTicket:
    """How to send bytes."""
    ticket = issued.ticket
    return pb.UploadTicket(
        method=ticket.method,
        uri=ticket.uri,
        headers=ticket.headers,
        fields=ticket.fields,
        token=issued.token,
        expire_time=_timestamp(issued.expire_time),
    )


def usage_message(usages: list[Usage], quota: int) -> pb.GetUsageResponse:
    """What is kept, and how much may be."""
    return pb.GetUsageResponse(
        usages=[
            pb.Usage(owner=each.owner, placement=each.placement, count=each.count, size=each.size) for each in usages
        ],
        count=sum(each.count for each in usages),
        size=sum(each.size for each in usages),
        quota_size=quota,
    )


def swept_message(done: Upkeep) -> pb.SweepExpiredResponse:
    """What one page of a sweep did."""
    return pb.SweepExpiredResponse(
        objects=map(object_message, done.objects),
        size=sum(kept.stored.size for kept in done.objects),
        failures=map(_unsettled_message, done.failures),
        next_page_token=done.next_token,
    )


def replicated_message(done: Upkeep) -> pb.ReplicateObjectsResponse:
    """What one page of a replication did."""
    return pb.ReplicateObjectsResponse(
        objects=map(object_message, done.objects),
        failures=map(_unsettled_message, done.failures),
        next_page_token=done.next_token,
    )


def _unsettled_message(unsettled: Unsettled) -> pb.ObjectFailure:
    name = pb.ObjectName(placement=unsettled.placement, key=unsettled.key)
    return pb.ObjectFailure(name=name, failure=_failure_message(unsettled.failure))


def placements_message(shelves: Shelves) -> pb.ListPlacementsResponse:
    """The policies in force."""
    return pb.ListPlacementsResponse(placements=map(_placement_message, shelves))


def _placement_message(shelf: Shelf) -> pb.Placement:
    policy = shelf.policy
    message = pb.Placement(
        name=policy.name,
        backends=[backend.name for backend in shelf.chain],
        on_error=_ON_ERROR[policy.on_error],
        keep_local_copy=policy.keep_local_copy,
        access=_ACCESS[policy.access],
        key_template=policy.key_template,
    )
    if policy.expires_after is not None:
        message.expires_after.FromTimedelta(policy.expires_after)
    return message


def backends_message(statuses: list[BackendStatus]) -> pb.ListBackendsResponse:
    """How the backends are."""
    return pb.ListBackendsResponse(
        backends=[
            pb.Backend(name=status.name, configured=status.configured, reachable=status.reachable, reason=status.reason)
            for status in statuses
        ]
    )


def _timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
