"""Moves objects from one backend to another: copied, recorded, and only then deleted where they were.

The record never names a place that does not hold the object. Killed at any point, a repeat finds the objects that are
still at the old place, and finishes them: what is copied already is not copied again.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.peers import BYTES_SECONDS, Peers
from gateway.upkeep.findings import Finding, Looked, Outcome, Step, acted, failed
from gateway.upkeep.reading import (
    LOCAL,
    copies_of,
    name_of,
    object_now,
    objects,
    placements,
    record_now,
    record_of,
    relocation,
)
from modelyard.metadata.v1.artifact_pb2 import (
    ARTIFACT_STATE_ACTIVE,
    ARTIFACT_STATE_DELETING,
    ARTIFACT_STATE_PENDING,
    Artifact,
)
from modelyard.storage.v1.storage_pb2 import CopyObjectRequest, DeleteObjectRequest, Object
from servicekit import errors
from servicekit.pacing import paced

AT_ONCE = 4
"""Objects on their way at the same time."""
_IN_MOTION = (ARTIFACT_STATE_PENDING, ARTIFACT_STATE_DELETING)


class BackendNotUsed(errors.InvalidInput):
    """The placement {placement} keeps nothing at {backend}; it uses {used}. Change its policy first, then move."""

    field = "to"


class MoveAgainstPolicy(errors.InvalidInput):
    """{source} is where the placement {placement} keeps its objects, and the next replication would bring them back
    there. Change its policy first, then move."""

    field = "from"


class NothingToMove(errors.InvalidInput):
    """The objects are to move from {source} to {source}, where they are. Name two backends."""

    field = "to"


class CopyNotSeen(errors.DataLoss):
    """The copy of {key} at {backend} is not there or is another; the object stays where it was."""


@dataclass(frozen=True)
class Move:
    """What to move."""

    placement: str
    source: str
    """The backend to move from."""
    target: str
    """The backend to move to."""
    prefix: str = ""
    """Only keys that start with this."""
    dry_run: bool = False


async def checked(peers: Peers, wish: Move) -> Move:
    """The same move, if it makes sense under the policies in force."""
    [policy] = await placements(peers, wish.placement)
    used = list(dict.fromkeys([*policy.backends, LOCAL]))  # the local one is read from whatever the policy
    if wish.source == wish.target:
        raise NothingToMove(source=wish.source)
    if wish.target not in used:
        raise BackendNotUsed(placement=policy.name, backend=wish.target, used=", ".join(used))
    if wish.source == policy.backends[0]:
        raise MoveAgainstPolicy(placement=policy.name, source=wish.source)
    return wish


async def move(peers: Peers, wish: Move) -> AsyncGenerator[Step, None]:
    """Move all objects that are meant, or tell which would be."""
    moving = _Moving(peers, wish)
    async with aclosing(paced(objects(peers, wish.placement, wish.prefix), moving.one, AT_ONCE)) as found:
        async for finding in found:
            if finding:
                yield finding
            yield Looked(1)


@dataclass(frozen=True)
class _Moving:
    peers: Peers
    wish: Move

    async def one(self, stored: Object) -> Finding | None:
        """Move one object, if it is at the old place."""
        name, wish = name_of(stored), self.wish
        if wish.source not in {copy.backend for copy in copies_of(stored)}:
            return None
        try:
            artifact = await record_of(self.peers, name)
            if artifact and artifact.state in _IN_MOTION:
                message = "It is just being recorded or deleted; move it another time."
                return Finding("moved", Outcome.OPEN, message, name.placement, name.key, stored.size, wish.source)
            if not wish.dry_run:
                await self._carry(stored, artifact)
        except AioRpcError as error:
            if error.code() is StatusCode.NOT_FOUND:  # its user deleted it meanwhile
                return None
            return failed(name, error, stored.size)
        except CopyNotSeen as problem:
            if artifact and await record_now(self.peers, artifact.id) is None:  # the same, a moment later
                return None
            return Finding("failed", Outcome.FAILED, problem.message, name.placement, name.key, stored.size)
        message = f"From {wish.source} to {wish.target}."
        return Finding("moved", acted(wish.dry_run), message, name.placement, name.key, stored.size, wish.target)

    async def _carry(self, stored: Object, artifact: Artifact | None) -> None:
        there = await self._copied(stored)
        if artifact and artifact.state == ARTIFACT_STATE_ACTIVE:
            await self._record(artifact, there)
        request = DeleteObjectRequest(name=name_of(stored), backend=self.wish.source, allow_missing=True)
        await self.peers.storage.DeleteObject(request, **self.peers.quick)

    async def _copied(self, stored: Object) -> Object:
        """The object, once the new place holds it; told by storage itself, not taken from the answer to the copying."""
        name, target = name_of(stored), self.wish.target
        if target not in {copy.backend for copy in copies_of(stored)}:
            request = CopyObjectRequest(source=name, backend=target)
            await self.peers.storage.CopyObject(request, **self.peers.within(BYTES_SECONDS))
        now = await object_now(self.peers, name)
        if now is None or now.sha256 != stored.sha256 or target not in {copy.backend for copy in copies_of(now)}:
            raise CopyNotSeen(key=name.key, backend=target)
        return now

    async def _record(self, artifact: Artifact, now: Object) -> None:
        """Have the record say where the object will be once it has left the old place."""
        remaining = Object()
        remaining.CopyFrom(now)
        del remaining.copies[:]
        remaining.copies.extend(copy for copy in copies_of(now) if copy.backend != self.wish.source)
        await self.peers.artifacts.RelocateArtifact(relocation(artifact, remaining), **self.peers.quick)
