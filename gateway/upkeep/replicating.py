"""Makes the copies that policy wants and that are missing, and has the records say where objects are now."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from grpc.aio import AioRpcError

from gateway.peers import BYTES_SECONDS, Peers, pages
from gateway.upkeep.findings import Finding, Looked, Outcome, Step, acted, failed, failed_there
from gateway.upkeep.reading import (
    LOCAL,
    agree,
    name_of,
    object_now,
    placements,
    record_of,
    records,
    relocation,
)
from modelyard.metadata.v1.artifact_pb2 import ARTIFACT_STATE_ACTIVE, Artifact, ListArtifactsRequest
from modelyard.storage.v1.storage_pb2 import Object, Placement, ReplicateObjectsRequest
from servicekit.pacing import each, paced

COPIED_AT_ONCE = 50
"""Objects of one call: few enough that their records follow soon."""


async def replicate(peers: Peers, placement: str = "", dry_run: bool = False) -> AsyncGenerator[Step, None]:
    """Copy what is missing, or tell what would be."""
    policies = await placements(peers, placement)
    for policy in policies:
        if not dry_run:
            async for step in _caught_up(peers, policy):
                yield step
    request = ReplicateObjectsRequest(dry_run=dry_run, placement=placement, page_size=COPIED_AT_ONCE)
    async for page in pages(peers.storage.ReplicateObjects, request, peers.within(BYTES_SECONDS)):
        async with aclosing(paced(each(page.objects), partial(_recorded, peers, dry_run))) as found:
            async for finding in found:
                yield finding
        for failure in page.failures:
            yield failed_there(failure)
        yield Looked(len(page.objects))


async def _recorded(peers: Peers, dry_run: bool, stored: Object) -> Finding:
    """Tell an object's record where the object is now."""
    name = name_of(stored)
    try:
        artifact = await record_of(peers, name)
        if artifact and artifact.state == ARTIFACT_STATE_ACTIVE and not dry_run:
            await peers.artifacts.RelocateArtifact(relocation(artifact, stored), **peers.quick)
    except AioRpcError as error:
        return failed(name, error, stored.size)
    places = " and ".join(copy.backend for copy in stored.copies) or stored.backend
    message = f"A copy is missing; now it is kept at {places}." if dry_run else f"It is kept at {places} now."
    return Finding("replicated", acted(dry_run), message, name.placement, name.key, stored.size, stored.backend)


async def _caught_up(peers: Peers, policy: Placement) -> AsyncGenerator[Step, None]:
    """Finish what a replication left that was killed between an object and its record.

    Such a record still tells of a missing copy, although there is none: nothing else would look at it again.
    """
    wanted_copies = 1 + (policy.keep_local_copy and LOCAL not in policy.backends[:1])
    if len(policy.backends) == 1 and wanted_copies == 1:
        return
    wanted = ListArtifactsRequest(state=ARTIFACT_STATE_ACTIVE, placement=policy.name)
    lacking = (
        artifact
        async for artifact in records(peers, wanted)
        if artifact.fallback or max(1, len(artifact.copies)) < wanted_copies
    )
    async with aclosing(paced(lacking, partial(_compared, peers))) as found:
        async for finding in found:
            if finding:
                yield finding


async def _compared(peers: Peers, artifact: Artifact) -> Finding | None:
    name = name_of(artifact)
    try:
        stored = await object_now(peers, name)
        if stored is None or agree(artifact, stored):
            return None
        await peers.artifacts.RelocateArtifact(relocation(artifact, stored), **peers.quick)
    except AioRpcError as error:
        return failed(name, error, artifact.size, artifact.id)
    message = f"Its record says now that it is kept at {stored.backend}."
    return Finding(
        "recorded", Outcome.DONE, message, name.placement, name.key, backend=stored.backend, artifact_id=artifact.id
    )
