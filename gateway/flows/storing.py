"""Brings objects to the storage service, and takes them away again."""

from collections.abc import AsyncIterator, Callable

from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.handoff import StagedFile, stage
from gateway.incoming import regrouped
from gateway.peers import BYTES_SECONDS, Peers
from modelyard.metadata.v1.artifact_pb2 import (
    ARTIFACT_STATE_ACTIVE,
    ActivateArtifactRequest,
    Artifact,
    ArtifactCopy,
    DeleteArtifactRequest,
    GetArtifactRequest,
    MarkArtifactDeletingRequest,
    RetireArtifactRequest,
)
from modelyard.storage.v1.storage_pb2 import (
    DeleteObjectRequest,
    NameObjectRequest,
    Object,
    ObjectName,
    UploadHeader,
    UploadRequest,
    UploadTrailer,
)
from servicekit import errors, statuses

IN_USE = "RECORD_IN_USE"
Closing = Callable[[int], UploadTrailer]
SOURCE_FAILURES = (errors.Problem, AioRpcError, OSError)
"""What a source of bytes may fail with: a sender who left, a service that ends, a disk that is full."""


async def named(peers: Peers, placement: str, **attributes: str) -> ObjectName:
    """Where a placement keeps an object of which so much is known."""
    request = NameObjectRequest(placement=placement, attributes=attributes)
    return await peers.storage.NameObject(request, **peers.quick)


async def store(peers: Peers, header: UploadHeader, chunks: AsyncIterator[bytes], closing: Closing) -> Object:
    """Send a stream of chunks; `closing` is told their size. If anything fails on the way, no object exists."""
    return await _send(peers, header, _as_chunks(chunks, closing))


async def store_large(peers: Peers, header: UploadHeader, chunks: AsyncIterator[bytes], closing: Closing) -> Object:
    """As `store`, by way of a shared file where there is one, which spares the bytes a process on their way."""
    staged = await stage(peers, header.placement)
    if staged is None:
        return await store(peers, header, chunks, closing)
    header.staged_path = staged.path
    try:
        return await _send(peers, header, _as_staged(staged, chunks, closing))
    finally:
        staged.discard()


def whereabouts(artifact_id: str, stored: Object) -> ActivateArtifactRequest:
    """Where an artifact's object was written and what happened meanwhile, as its record is told."""
    return ActivateArtifactRequest(
        id=artifact_id,
        backend=stored.backend,
        bucket=stored.bucket,
        uri=stored.uri,
        size=stored.size,
        sha256=stored.sha256,
        copies=[ArtifactCopy(backend=copy.backend, bucket=copy.bucket, uri=copy.uri) for copy in stored.copies],
        fallback=stored.fallback,
        storage_failures=[failure.message for failure in stored.failures],
        expire_time=stored.expire_time if stored.HasField("expire_time") else None,
    )


async def take_away(peers: Peers, artifact_id: str) -> None:
    """Delete an artifact's object, all copies, after its record says that it goes; the record is left to the caller."""
    request = MarkArtifactDeletingRequest(id=artifact_id)
    artifact = await peers.artifacts.MarkArtifactDeleting(request, **peers.quick)
    await delete(peers, ObjectName(placement=artifact.placement, key=artifact.key))


async def forget(peers: Peers, artifact: Artifact) -> None:
    """Delete what nobody finished or finished to delete: its object first, then its record.

    One that was recorded after all, as when only the answer was lost, keeps its bytes. One that something refers to
    keeps its record, which then says that the object is gone.
    """
    try:
        now = await peers.artifacts.GetArtifact(GetArtifactRequest(id=artifact.id), **peers.quick)
    except AioRpcError as error:
        if error.code() is StatusCode.NOT_FOUND:
            return
        raise
    if now.state == ARTIFACT_STATE_ACTIVE:
        return
    await take_away(peers, artifact.id)
    try:
        await peers.artifacts.DeleteArtifact(DeleteArtifactRequest(id=artifact.id, allow_missing=True), **peers.quick)
    except AioRpcError as error:
        if statuses.reason_of(error) != IN_USE:
            raise
        await peers.artifacts.RetireArtifact(RetireArtifactRequest(id=artifact.id), **peers.quick)


async def delete(peers: Peers, name: ObjectName) -> None:
    """Delete an object, if there is one."""
    await peers.storage.DeleteObject(DeleteObjectRequest(name=name, allow_missing=True), **peers.quick)


async def _as_chunks(chunks: AsyncIterator[bytes], closing: Closing) -> AsyncIterator[UploadRequest]:
    size = 0
    async for chunk in regrouped(chunks):
        size += len(chunk)
        yield UploadRequest(chunk=chunk)
    yield UploadRequest(trailer=closing(size))


async def _as_staged(
    staged: StagedFile, chunks: AsyncIterator[bytes], closing: Closing
) -> AsyncIterator[UploadRequest]:
    size = 0
    async for count in staged.filled(chunks):
        size += count
        yield UploadRequest(staged=count)
    yield UploadRequest(trailer=closing(size))


async def _send(peers: Peers, header: UploadHeader, parts: AsyncIterator[UploadRequest]) -> Object:
    """Send an upload. If its source fails, the stream ends without a trailer, and so nothing is stored."""
    failures: list[Exception] = []

    async def messages() -> AsyncIterator[UploadRequest]:
        yield UploadRequest(header=header)
        try:
            async for part in parts:
                yield part
        except SOURCE_FAILURES as failure:  # the library would cancel the call, and hide why
            failures.append(failure)

    try:
        return await peers.storage.Upload(messages(), **peers.within(BYTES_SECONDS))
    except AioRpcError:
        if failures:
            raise failures[0] from None
        raise
