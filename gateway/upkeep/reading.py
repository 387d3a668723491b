"""Records and objects as upkeep reads them, page by page, and whether the two agree."""

from collections.abc import AsyncIterator

from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.peers import SCAN_SECONDS, Peers, pages
from modelyard.metadata.v1.artifact_pb2 import (
    ARTIFACT_STATE_ACTIVE,
    ARTIFACT_STATE_DELETING,
    ARTIFACT_STATE_PENDING,
    Artifact,
    ArtifactCopy,
    GetArtifactRequest,
    ListArtifactsRequest,
    RelocateArtifactRequest,
)
from modelyard.storage.v1.storage_pb2 import (
    Copy,
    GetObjectRequest,
    ListObjectsRequest,
    ListPlacementsRequest,
    Object,
    ObjectName,
    Placement,
)
from servicekit import errors

PAGE_SIZE = 1000
LOCAL = "local"
_RANKS = {ARTIFACT_STATE_ACTIVE: 0, ARTIFACT_STATE_PENDING: 1, ARTIFACT_STATE_DELETING: 2}


class PlacementUnknown(errors.InvalidInput):
    """There is no placement {placement!r}. There are: {known}."""

    field = "placement"


async def placements(peers: Peers, only: str = "") -> list[Placement]:
    """The policies in force, or the one that is named. Fails with PlacementUnknown."""
    answer = await peers.storage.ListPlacements(ListPlacementsRequest(), **peers.quick)
    found = [placement for placement in answer.placements if only in ("", placement.name)]
    if not found:
        raise PlacementUnknown(placement=only, known=", ".join(placement.name for placement in answer.placements))
    return found


async def records(peers: Peers, wanted: ListArtifactsRequest) -> AsyncIterator[Artifact]:
    """All records that a request asks for."""
    request = ListArtifactsRequest()
    request.CopyFrom(wanted)
    request.page_size = PAGE_SIZE
    async for page in pages(peers.artifacts.ListArtifacts, request, peers.within(SCAN_SECONDS)):
        for artifact in page.artifacts:
            yield artifact


async def objects(peers: Peers, placement: str, prefix: str = "") -> AsyncIterator[Object]:
    """All objects of a placement whose keys start with a prefix."""
    request = ListObjectsRequest(placement=placement, prefix=prefix, page_size=PAGE_SIZE)
    async for page in pages(peers.storage.ListObjects, request, peers.within(SCAN_SECONDS)):
        for stored in page.objects:
            yield stored


async def record_of(peers: Peers, name: ObjectName) -> Artifact | None:
    """The record of an object; where an earlier attempt left one as well, the one that is alive."""
    wanted = ListArtifactsRequest(placement=name.placement, key=name.key, page_size=PAGE_SIZE)
    page = await peers.artifacts.ListArtifacts(wanted, **peers.quick)
    return min(page.artifacts, key=lambda artifact: _RANKS.get(artifact.state, len(_RANKS)), default=None)


async def record_now(peers: Peers, artifact_id: str) -> Artifact | None:
    """A record as it is now."""
    try:
        return await peers.artifacts.GetArtifact(GetArtifactRequest(id=artifact_id), **peers.quick)
    except AioRpcError as error:
        if error.code() is StatusCode.NOT_FOUND:
            return None
        raise


async def object_now(peers: Peers, name: ObjectName) -> Object | None:
    """An object as it is now. Any failure but its absence is raised: what cannot be asked is not gone."""
    try:
        return await peers.storage.GetObject(GetObjectRequest(name=name), **peers.quick)
    except AioRpcError as error:
        if error.code() is StatusCode.NOT_FOUND:
            return None
        raise


def name_of(whole: Object | Artifact) -> ObjectName:
    """The name of an object, or of a record's object."""
    return ObjectName(placement=whole.placement, key=whole.key)


def is_alive(artifact: Artifact | None) -> bool:
    """Whether a record says that its object exists, may come, or is just being deleted."""
    return artifact is not None and artifact.state in _RANKS


def copies_of(stored: Object) -> list[Copy]:
    """Every place that holds an object, the one that is read from first."""
    return list(stored.copies) or [Copy(backend=stored.backend, bucket=stored.bucket, uri=stored.uri)]


def agree(artifact: Artifact, stored: Object) -> bool:
    """Whether a record says where its object really is."""
    told = list(artifact.copies) or [ArtifactCopy(backend=artifact.backend, bucket=artifact.bucket, uri=artifact.uri)]
    first_agrees = (artifact.backend, artifact.uri) == (stored.backend, stored.uri)
    return first_agrees and artifact.fallback == stored.fallback and _places(told) == _places(copies_of(stored))


def _places(copies: list[Copy] | list[ArtifactCopy]) -> set[tuple[str, str, str]]:
    return {(copy.backend, copy.bucket, copy.uri) for copy in copies}


def relocation(artifact: Artifact, stored: Object) -> RelocateArtifactRequest:
    """Where an object is, as its record is told."""
    copies = copies_of(stored)
    return RelocateArtifactRequest(
        id=artifact.id,
        backend=copies[0].backend,
        bucket=copies[0].bucket,
        uri=copies[0].uri,
        sha256=stored.sha256,
        copies=[ArtifactCopy(backend=copy.backend, bucket=copy.bucket, uri=copy.uri) for copy in copies],
        fallback=stored.fallback,
    )
