"""Between the messages of storage.proto and the domain's values."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from modelyard.storage.v1 import storage_pb2 as pb
from services.storage.domain.downloads import Download
from services.storage.domain.errors import InvalidTtl, NameMissing, PartsOutOfOrder
from services.storage.domain.model import (
    BackendStatus,
    Deleted,
    Draft,
    ObjectName,
    Page,
    Part,
    SignedAddress,
    Staged,
    StoredObject,
    Trailer,
)

DEFAULT_CONTENT_TYPE = "application/octet-stream"


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
            return _draft(request.header)
        case "staged":
            return Staged(request.staged)
        case "trailer":
            return Trailer(request.trailer.size, request.trailer.sha256)
        case _:
            raise PartsOutOfOrder(got="an empty message", wanted="a header, a chunk or a trailer")


def _draft(header: pb.UploadHeader) -> Draft:
    return Draft(
        name=ObjectName(header.placement, header.key),
        owner=header.owner,
        content_type=header.content_type or DEFAULT_CONTENT_TYPE,
        file_name=header.file_name or header.key.rpartition("/")[2],
        request_id=header.request_id,
        staged_path=header.staged_path,
    )


def ttl_of(request: pb.SignDownloadRequest) -> timedelta | None:
    """How long the address is to work; None when the caller does not say."""
    if not request.HasField("ttl"):
        return None
    try:
        return request.ttl.ToTimedelta()
    except (OverflowError, ValueError) as error:
        raise InvalidTtl from error


def object_message(stored: StoredObject) -> pb.Object:
    """A stored object."""
    return pb.Object(
        placement=stored.name.placement,
        key=stored.name.key,
        owner=stored.draft.owner,
        content_type=stored.draft.content_type,
        file_name=stored.draft.file_name,
        size=stored.size,
        sha256=stored.sha256,
        create_time=_timestamp(stored.create_time),
        backend=stored.backend,
        bucket=stored.bucket,
        uri=stored.uri,
    )


def header_message(download: Download, by_path: bool) -> pb.DownloadResponse:
    """What goes before the bytes, or, for a reader who would rather have the file's path, in place of them."""
    header = pb.DownloadHeader(
        object=object_message(download.stored),
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


def backends_message(statuses: list[BackendStatus]) -> pb.ListBackendsResponse:
    """How the backends are. One that the service holds is configured."""
    return pb.ListBackendsResponse(
        backends=[
            pb.Backend(name=status.name, configured=True, reachable=status.reachable, reason=status.reason)
            for status in statuses
        ]
    )


def _timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
