"""What each call of an object store asks of the storage service, whoever carries the questions.

A call is a generator: it yields what it wants done, is sent the answer, and returns its result. `objects` carries them
with and without an event loop.
"""

import hashlib
import mimetypes
import secrets
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from google.protobuf.duration_pb2 import Duration

from modelyard.errors import ModelyardError
from modelyard.records import Record
from modelyard.storage.v1 import storage_pb2 as pb
from modelyard.storekeeping import Amount
from modelyard.transfer import CHUNK_BYTES, published

Result = TypeVar("Result")
Source = bytes | Path
"""Bytes, or the file that holds them."""

DATASETS, UPLOADS, PROJECTS = "datasets", "uploads", "projects"
UNRECORDED = {"unrecorded": "true"}
"""Told to the storage service with every object: there is no record of it, and none is missed."""
QUICK_SECONDS = 30.0
BYTES_SECONDS = 6 * 3600.0
OBJECT_NOT_FOUND = "OBJECT_NOT_FOUND"
MOST_NAME_BYTES = 70
"""What of a file's name is in its key, where a character may take three bytes."""


@dataclass(frozen=True)
class Ask:
    """A question with one answer."""

    method: str
    request: Any
    seconds: float = QUICK_SECONDS


@dataclass(frozen=True)
class Send:
    """An upload; the answer is the object."""

    header: pb.UploadHeader
    source: Source

    def messages(self) -> Iterator[pb.UploadRequest]:
        """The upload, message by message, read as it goes."""
        digest, size = hashlib.sha256(), 0
        yield pb.UploadRequest(header=self.header)
        for chunk in chunks_of(self.source):
            digest.update(chunk)
            size += len(chunk)
            yield pb.UploadRequest(chunk=chunk)
        yield pb.UploadRequest(trailer=pb.UploadTrailer(size=size, sha256=digest.hexdigest()))


@dataclass(frozen=True)
class Fetch:
    """A download, whose bytes go to `take` as they come; the answer is the object."""

    name: pb.ObjectName
    take: Callable[[bytes], object]


Call = Generator[Ask | Send | Fetch, Any, Result]


class StoredFile(Record):
    """One stored file."""

    public_id: str
    """Its name: placement and key."""
    secure_url: str = ""
    """An address from which it can be downloaded for a while; below the gateway's where that is given."""
    uri: str = ""
    """Its address at the backend, which may need credentials."""
    file_name: str = ""
    content_type: str = ""
    size: int = 0
    """Bytes."""
    sha256: str = ""
    backend: str = ""
    tags: tuple[str, ...] = ()
    created_at: datetime | None = None
    expires_at: datetime | None = None


class ProjectStats(Amount):
    """What is kept of projects, in all and by user."""

    users: Mapping[str, Amount] = {}


def is_configured() -> Call[bool]:
    """Whether the backend that datasets go to has its settings."""
    policies = yield Ask("ListPlacements", pb.ListPlacementsRequest())
    home = next(policy.backends[0] for policy in policies.placements if policy.name == DATASETS)
    known = yield Ask("ListBackends", pb.ListBackendsRequest())
    return any(backend.name == home and backend.configured for backend in known.backends)


def upload_dataset(user_id: str, dataset_id: str, content: Source, file_name: str) -> Call[str]:
    """Store a dataset's file; its address. The same bytes again are no second file, other bytes are refused."""
    name = yield _naming(DATASETS, user=user_id, dataset=dataset_id, file_name=file_name)
    header = _header(name, user_id, file_name, request_id=digest_of(content))
    stored = yield Send(header, content)
    return str(stored.uri)


def download_dataset(url: str) -> Call[bytes]:
    """The bytes of a dataset's file, by the address that its upload gave."""
    address = urlsplit(url)
    segments = [unquote(segment) for segment in (address.netloc + address.path).split("/")]
    for start in range(len(segments)):
        key = "/".join(segments[start:])
        stored = yield from _described(pb.ObjectName(placement=DATASETS, key=key))
        if stored:
            return (yield from download_file(f"{DATASETS}/{key}"))
    raise ModelyardError(0, OBJECT_NOT_FOUND, f"There is no dataset at {url}. It may have been deleted.")


def delete_dataset(user_id: str, dataset_id: str) -> Call[int]:
    """Delete all files of a dataset; how many there were."""
    name = yield _naming(DATASETS, user=user_id, dataset=dataset_id, file_name="any")
    folder = name.key.rpartition("/")[0] + "/"
    deleted = yield Ask("DeleteObjects", pb.DeleteObjectsRequest(placement=DATASETS, prefix=folder), BYTES_SECONDS)
    return int(deleted.count)


def generate_upload_key(user_id: str, file_name: str) -> Call[str]:
    """A name for a file to come that no other file has: `uploads/USER/TIME-FILE`."""
    timestamp = f"{time.time_ns() // 1_000_000}-{secrets.token_hex(4)}"
    kept = file_name.encode()[-MOST_NAME_BYTES:].decode(errors="ignore")
    name = yield _naming(UPLOADS, user=user_id, timestamp=timestamp, file_name=kept)
    return f"{name.placement}/{name.key}"


def upload_file(
    data: Source, name: str, user_id: str, folder: str, tags: Sequence[str], public_id: str, gateway_url: str
) -> Call[StoredFile]:
    """Store a file under a name that is free, or under the given one."""
    if isinstance(data, Path):
        data.open("rb").close()  # tells who asks, rather than the thread that sends
    owner = user_id or folder.rstrip("/").rpartition("/")[2]
    public_id = public_id or (yield from generate_upload_key(owner, name))
    header = _header(named(public_id), owner, name, uuid.uuid4().hex, tags)
    stored = yield Send(header, data)
    return stored_file(stored, (yield from secure_url(public_id, 3600, gateway_url)))


def secure_url(public_id: str, expires: float, gateway_url: str) -> Call[str]:
    """An address from which whoever holds it can download a file for so many seconds."""
    ttl = Duration()
    ttl.FromNanoseconds(int(expires * 1e9))
    signed = yield Ask("SignDownload", pb.SignDownloadRequest(name=named(public_id), ttl=ttl))
    return gateway_url.rstrip("/") + signed.uri if signed.uri.startswith("/") else str(signed.uri)


def download_file(public_id: str) -> Call[bytes]:
    """The bytes of a file, checked."""
    received = bytearray()
    yield from _fetched(named(public_id), received.extend)
    return bytes(received)


def save_file(public_id: str, to: Path) -> Call[Path]:
    """Put a file on the disk, streamed; it appears there whole and checked, or not at all."""
    with published(to) as file:
        yield from _fetched(named(public_id), file.write)
    return to


def _fetched(name: pb.ObjectName, take: Callable[[bytes], object]) -> Call[None]:
    digest = hashlib.sha256()

    def taken(chunk: bytes) -> None:
        digest.update(chunk)
        take(chunk)

    stored = yield Fetch(name, taken)
    if digest.hexdigest() != stored.sha256:
        message = f"What arrived of {name.key} is not what was stored. Try again."
        raise ModelyardError(0, "CHECKSUM_MISMATCH", message, retryable=True)


def delete_file(public_id: str) -> Call[bool]:
    """Delete a file; whether there was one."""
    existed = yield from _described(named(public_id))
    yield Ask("DeleteObject", pb.DeleteObjectRequest(name=named(public_id), allow_missing=True))
    return existed is not None


def file_exists(public_id: str) -> Call[bool]:
    """Whether there is such a file."""
    return (yield from _described(named(public_id))) is not None


def file_metadata(public_id: str) -> Call[StoredFile]:
    """What is known of a file."""
    return stored_file((yield Ask("GetObject", pb.GetObjectRequest(name=named(public_id)))), "")


def project_storage_stats(user_id: str) -> Call[ProjectStats]:
    """How much is kept of projects: one user's, or everybody's."""
    usage = yield Ask("GetUsage", pb.GetUsageRequest(owner=user_id, placement=PROJECTS), BYTES_SECONDS)
    users = {part.owner: Amount(count=part.count, size=part.size) for part in usage.usages}
    return ProjectStats(count=usage.count, size=usage.size, users=users)


def _naming(placement: str, **attributes: str) -> Ask:
    return Ask("NameObject", pb.NameObjectRequest(placement=placement, attributes=attributes))


def _described(name: pb.ObjectName) -> Call[pb.Object | None]:
    """An object, or None where there is none, or can be none of such a name."""
    try:
        stored: pb.Object = yield Ask("GetObject", pb.GetObjectRequest(name=name))
    except ModelyardError as error:
        if error.code in (OBJECT_NOT_FOUND, "INVALID_KEY"):
            return None
        raise
    return stored


def _header(
    name: pb.ObjectName, owner: str, file_name: str, request_id: str, tags: Sequence[str] = ()
) -> pb.UploadHeader:
    return pb.UploadHeader(
        placement=name.placement,
        key=name.key,
        owner=owner,
        content_type=media_type(file_name),
        file_name=file_name.replace("\\", "/").rpartition("/")[2],
        request_id=request_id,
        tags=tags,
        context=UNRECORDED,
    )


def named(public_id: str) -> pb.ObjectName:
    """The object that a public id names."""
    placement, _, key = public_id.partition("/")
    return pb.ObjectName(placement=placement, key=key)


def stored_file(stored: pb.Object, secure_url: str) -> StoredFile:
    """An object, as its users know it."""
    return StoredFile(
        public_id=f"{stored.placement}/{stored.key}",
        secure_url=secure_url,
        uri=stored.uri,
        file_name=stored.file_name,
        content_type=stored.content_type,
        size=stored.size,
        sha256=stored.sha256,
        backend=stored.backend,
        tags=tuple(stored.tags),
        created_at=stored.create_time.ToDatetime(UTC),
        expires_at=stored.expire_time.ToDatetime(UTC) if stored.HasField("expire_time") else None,
    )


def chunks_of(source: Source) -> Iterator[bytes]:
    """Bytes in pieces of the best size."""
    if isinstance(source, bytes):
        yield from (source[start : start + CHUNK_BYTES] for start in range(0, len(source), CHUNK_BYTES))
        return
    with source.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")


def digest_of(source: Source) -> str:
    """SHA-256 of some bytes, hexadecimal."""
    digest = hashlib.sha256()
    for chunk in chunks_of(source):
        digest.update(chunk)
    return digest.hexdigest()


_TYPES = mimetypes.MimeTypes()  # of the library itself: what this machine has in /etc/mime.types changes nothing
for _type, _suffix in (
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx"),
    ("application/vnd.apache.parquet", ".parquet"),
    ("text/markdown", ".md"),
    ("image/webp", ".webp"),
):
    _TYPES.add_type(_type, _suffix)


def media_type(file_name: str) -> str:
    """The media type of a file, by its name."""
    kind, packed = _TYPES.guess_type(file_name)
    return f"application/{packed}" if packed else kind or "application/octet-stream"
