"""Deletes what has expired.

For each object the record goes first: it says DELETING, the object is deleted, and the record says DELETED and stays,
so that whoever asks for the object learns that it has expired. Killed at any point, the next sweep takes up the
records that say DELETING. Objects without a record, which nothing else would ever find, are deleted last.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial

from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.flows.engine import as_timestamp
from gateway.flows.storing import delete
from gateway.peers import SCAN_SECONDS, Peers, pages
from gateway.upkeep.findings import Finding, Looked, Step, acted, failed, failed_there
from gateway.upkeep.reading import PAGE_SIZE, is_alive, name_of, record_of, records
from modelyard.metadata.v1.artifact_pb2 import (
    ARTIFACT_STATE_ACTIVE,
    ARTIFACT_STATE_DELETING,
    ARTIFACT_STATE_PENDING,
    Artifact,
    ListArtifactsRequest,
    MarkArtifactDeletingRequest,
    RetireArtifactRequest,
)
from modelyard.storage.v1.storage_pb2 import Object, SweepExpiredRequest
from servicekit.pacing import each, paced


async def sweep(peers: Peers, placement: str = "", dry_run: bool = False) -> AsyncGenerator[Step, None]:
    """Delete all objects that have expired by now, or tell which would be."""
    now = datetime.now(UTC)
    for state in (ARTIFACT_STATE_DELETING, ARTIFACT_STATE_ACTIVE):
        wanted = ListArtifactsRequest(state=state, placement=placement, expiring_before=as_timestamp(now))
        async with aclosing(paced(records(peers, wanted), partial(_expire, peers, dry_run))) as found:
            async for finding in found:
                yield finding
    async for step in _unrecorded(peers, placement, dry_run, now):
        yield step


async def _expire(peers: Peers, dry_run: bool, artifact: Artifact) -> Finding:
    name = name_of(artifact)
    try:
        if not dry_run:
            await expire(peers, artifact)
    except AioRpcError as error:
        return failed(name, error, artifact.size, artifact.id)
    message = f"It expired at {artifact.expire_time.ToJsonString()}."
    return Finding(
        "expired", acted(dry_run), message, name.placement, name.key, artifact.size, artifact.backend, artifact.id
    )


async def expire(peers: Peers, artifact: Artifact) -> None:
    """Delete an artifact's object, and have its record say so. Safe to repeat, also by several at once."""
    try:
        await peers.artifacts.MarkArtifactDeleting(MarkArtifactDeletingRequest(id=artifact.id), **peers.quick)
        await delete(peers, name_of(artifact))
        await peers.artifacts.RetireArtifact(RetireArtifactRequest(id=artifact.id), **peers.quick)
    except AioRpcError as error:
        if error.code() is not StatusCode.NOT_FOUND:  # its user deleted it meanwhile, record and all
            raise


async def _unrecorded(peers: Peers, placement: str, dry_run: bool, now: datetime) -> AsyncGenerator[Step, None]:
    """Expired objects that no record told of."""
    # Always dry: were storage to delete them, an object could be gone of which a record says that it is there.
    request = SweepExpiredRequest(dry_run=True, placement=placement, page_size=PAGE_SIZE)
    async for page in pages(peers.storage.SweepExpired, request, peers.within(SCAN_SECONDS)):
        for failure in page.failures:
            yield failed_there(failure)
        async with aclosing(paced(each(page.objects), partial(_expire_object, peers, dry_run, now))) as found:
            async for finding in found:
                if finding:
                    yield finding
        yield Looked(len(page.objects))


async def _expire_object(peers: Peers, dry_run: bool, now: datetime, stored: Object) -> Finding | None:
    name = name_of(stored)
    message = f"It expired at {stored.expire_time.ToJsonString()}, and no record told of it."
    try:
        artifact = await record_of(peers, name)
        if artifact and _is_left_alone(artifact, now):
            return None
        if artifact and is_alive(artifact):
            return await _expire(peers, dry_run, artifact)
        if not dry_run:
            await delete(peers, name)
    except AioRpcError as error:
        return failed(name, error, stored.size)
    return Finding("expired", acted(dry_run), message, name.placement, name.key, stored.size, stored.backend)


def _is_left_alone(artifact: Artifact, now: datetime) -> bool:
    """Whether its record was seen to above, or is that of an upload which never finished, and cleaned up as one."""
    if artifact.state == ARTIFACT_STATE_PENDING:
        return True
    told = artifact.HasField("expire_time") and artifact.expire_time.ToDatetime(UTC) < now
    return told and is_alive(artifact)
