"""Uploads by ticket: announced, sent straight to where they are kept, and recorded when their sender says that all is
there. An upload that is announced and never completed is cleaned up like any other.
"""

import mimetypes
import secrets
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.flows.datasets import BytesChanged
from gateway.flows.storing import delete, forget, named, store, take_away, whereabouts
from gateway.incoming import Incoming
from gateway.peers import BYTES_SECONDS, Peers
from gateway.upkeep.reading import name_of, record_of
from modelyard.metadata.v1.artifact_pb2 import (
    ARTIFACT_STATE_ACTIVE,
    ARTIFACT_STATE_PENDING,
    Artifact,
    CreateArtifactRequest,
    DeleteArtifactRequest,
)
from modelyard.storage.v1.storage_pb2 import (
    CompleteUploadRequest,
    GetUsageRequest,
    Object,
    SignUploadRequest,
    UploadHeader,
    UploadTicket,
    UploadTrailer,
)
from servicekit import errors

PLACEMENT = "uploads"
KIND = "upload"
MOST_NAME_BYTES = 70
"""What of a file's name is in its key, where a character may take three bytes."""
_TYPES = mimetypes.MimeTypes()
_TAKES_BYTES = (ARTIFACT_STATE_PENDING, ARTIFACT_STATE_ACTIVE)


class QuotaExceeded(errors.LimitReached):
    """You keep {used} of {quota} bytes, and {size} more do not fit. Delete something, or have your quota raised."""


class BytesDiffer(errors.InvalidInput):
    """What arrived is not what was sent: {size} bytes with the SHA-256 {sha256}. Ask for a new ticket and send it
    again."""

    field = "sha256"


class TicketSpent(errors.NotFound):
    """The upload of this ticket was deleted, or was cleaned up because it came too late. Ask for a new ticket."""


class TicketOfAnother(errors.InvalidInput):
    """This token is of the ticket of another upload. Give the id and the token of the same ticket."""

    field = "token"


@dataclass(frozen=True)
class Wish:
    """What is to be uploaded."""

    user: str
    file_name: str
    content_type: str
    size: int
    """Bytes; 0 when not known yet."""
    ttl_seconds: int


async def issue(peers: Peers, wish: Wish) -> tuple[Artifact, UploadTicket]:
    """Announce an upload, and say where to send its bytes. If that fails, nothing is left of it."""
    await _check_quota(peers, wish)
    artifact_id = uuid.uuid4().hex
    key = await _key(peers, wish)
    header = UploadHeader(
        placement=PLACEMENT,
        key=key,
        owner=wish.user,
        content_type=wish.content_type or _TYPES.guess_type(wish.file_name)[0] or "",
        file_name=wish.file_name,
        request_id=artifact_id,
    )
    artifact = Artifact(id=artifact_id, user_id=wish.user, kind=KIND, placement=PLACEMENT, key=key)
    async with AsyncExitStack() as undo:
        request = CreateArtifactRequest(artifact=artifact, request_id=artifact_id)
        artifact = await peers.artifacts.CreateArtifact(request, **peers.quick)
        undo.push_async_callback(forget, peers, artifact)
        signing = SignUploadRequest(header=header, ttl=Duration(seconds=wish.ttl_seconds))
        ticket = await peers.storage.SignUpload(signing, **peers.quick)
        undo.pop_all()
    return artifact, ticket


async def _check_quota(peers: Peers, wish: Wish) -> None:
    """Say at once what would only show when all bytes are sent. The storage service holds to it in any case."""
    usage = await peers.storage.GetUsage(GetUsageRequest(owner=wish.user), **peers.quick)
    if usage.quota_size and usage.size + wish.size > usage.quota_size:
        raise QuotaExceeded(used=usage.size, quota=usage.quota_size, size=wish.size)


async def _key(peers: Peers, wish: Wish) -> str:
    """A key that no other upload has, though it has the same name and comes at the same time."""
    timestamp = f"{time.time_ns() // 1_000_000}-{secrets.token_hex(4)}"
    file_name = wish.file_name.encode()[-MOST_NAME_BYTES:].decode(errors="ignore")
    return (await named(peers, PLACEMENT, user=wish.user, timestamp=timestamp, file_name=file_name)).key


async def take(peers: Peers, token: str, arriving: Incoming) -> Object:
    """Store the bytes of a ticket. Fails with BytesChanged when they are not those of the sender's digest.

    A ticket outlives its upload: where that was deleted, nothing is stored, and TicketSpent tells so.
    """

    def closing(size: int) -> UploadTrailer:
        return UploadTrailer(size=size, sha256=arriving.sha256)

    try:
        stored = await store(peers, UploadHeader(token=token), arriving.chunks, closing)
    except AioRpcError as error:
        if error.code() is StatusCode.DATA_LOSS and arriving.sha256:
            raise BytesChanged from error
        raise
    artifact = await record_of(peers, name_of(stored))
    if artifact is None or artifact.state not in _TAKES_BYTES:
        await delete(peers, name_of(stored))
        raise TicketSpent
    return stored


async def complete(peers: Peers, artifact: Artifact, token: str, trailer: UploadTrailer) -> Artifact:
    """Make an upload an object, and record it. A repeat gives the same record."""
    request = CompleteUploadRequest(token=token, trailer=trailer)
    stored = await peers.storage.CompleteUpload(request, **peers.within(BYTES_SECONDS))
    if (stored.placement, stored.key) != (artifact.placement, artifact.key):
        raise TicketOfAnother
    if stored.size != trailer.size or trailer.sha256.lower() not in ("", stored.sha256):
        await forget(peers, artifact)
        raise BytesDiffer(size=stored.size, sha256=stored.sha256)
    return await peers.artifacts.ActivateArtifact(whereabouts(artifact.id, stored), **peers.quick)


async def let_go(peers: Peers, artifact: Artifact) -> None:
    """Delete an upload: its object first, then its record."""
    await take_away(peers, artifact.id)
    await peers.artifacts.DeleteArtifact(DeleteArtifactRequest(id=artifact.id, allow_missing=True), **peers.quick)
