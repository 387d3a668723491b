"""Compares records with objects in both directions, and mends what can be mended without a loss.

| found | what it is | repair |
|---|---|---|
| orphan | an object that no living record tells of, older than the grace | deleted |
| unrecorded | the same, but its writer said that it keeps no record | none: it is what was wanted |
| misplaced | a record that names another place than where the object is | the record is told |
| different | a record whose size or checksum is not the object's | none: a person must decide |
| lost | an active record without an object | none: a record is all that is left of what was lost |
| half_deleted | a record that says DELETING for longer than the grace | the deletion is finished |
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from grpc.aio import AioRpcError

from gateway.flows.engine import as_timestamp
from gateway.flows.storing import delete
from gateway.peers import Peers
from gateway.upkeep.findings import Finding, Looked, Outcome, Step, failed
from gateway.upkeep.reading import (
    agree,
    is_alive,
    name_of,
    object_now,
    objects,
    placements,
    record_now,
    record_of,
    records,
    relocation,
)
from gateway.upkeep.sweeping import expire
from modelyard.metadata.v1.artifact_pb2 import (
    ARTIFACT_STATE_ACTIVE,
    ARTIFACT_STATE_DELETING,
    Artifact,
    ListArtifactsRequest,
)
from modelyard.storage.v1.storage_pb2 import Object
from servicekit.pacing import paced

GRACE = timedelta(hours=24)
"""Age under which an object may be that of an upload which is still on its way."""
UNRECORDED = "unrecorded"
"""Name in an object's context by which its writer says that it keeps no record of it."""
TOLD_EVERY = 200

Whole = TypeVar("Whole", Object, Artifact)


@dataclass(frozen=True)
class Scan:
    """How to scan."""

    placement: str = ""
    """Only this one; all when empty."""
    repair: bool = False
    grace: timedelta = GRACE


async def scan(peers: Peers, wish: Scan) -> AsyncGenerator[Step, None]:
    """Tell all differences as they come, mended where that was asked for."""
    scanning = _Scanning(peers, wish.repair, datetime.now(UTC) - wish.grace)
    stale = as_timestamp(scanning.before)
    for policy in await placements(peers, wish.placement):
        active = ListArtifactsRequest(state=ARTIFACT_STATE_ACTIVE, placement=policy.name)
        deleting = ListArtifactsRequest(state=ARTIFACT_STATE_DELETING, placement=policy.name, updated_before=stale)
        passes = (
            _told(objects(peers, policy.name), scanning.object),
            _told(records(peers, active), scanning.record),
            _told(records(peers, deleting), scanning.half_deleted),
        )
        for steps in passes:
            async with aclosing(steps):
                async for step in steps:
                    yield step


async def _told(
    items: AsyncIterator[Whole], look: Callable[[Whole], Coroutine[Any, Any, Finding | None]]
) -> AsyncGenerator[Step, None]:
    looked = 0
    async with aclosing(paced(items, look)) as found:
        async for finding in found:
            looked += 1
            if finding:
                yield finding
            if looked == TOLD_EVERY:
                yield Looked(looked)
                looked = 0
    yield Looked(looked)


@dataclass(frozen=True)
class _Scanning:
    peers: Peers
    repair: bool
    before: datetime
    """What is younger is left alone."""

    async def object(self, stored: Object) -> Finding | None:
        """Look for an object's record, and whether it tells the truth."""
        name = name_of(stored)
        try:
            artifact = await record_of(self.peers, name)
            if artifact is None or not is_alive(artifact):
                return await self._orphan(stored)
            if artifact.state != ARTIFACT_STATE_ACTIVE:
                return None
            if (artifact.size, artifact.sha256) != (stored.size, stored.sha256):
                return _finding("different", Outcome.OPEN, _difference(artifact, stored), stored, artifact.id)
            return None if agree(artifact, stored) else await self._misplaced(artifact, stored)
        except AioRpcError as error:
            return failed(name, error, stored.size)

    async def _orphan(self, stored: Object) -> Finding | None:
        name = name_of(stored)
        if stored.create_time.ToDatetime(UTC) > self.before:
            return None
        if await object_now(self.peers, name) is None:  # deleted since it was listed, record and all
            return None
        if UNRECORDED in stored.context:
            return _finding("unrecorded", Outcome.DONE, "Its writer keeps no record of it; it stays.", stored)
        if self.repair:
            await delete(self.peers, name)
        told = "No record told of it; it is deleted." if self.repair else "No record tells of it."
        return _finding("orphan", self._mended, told, stored)

    async def _misplaced(self, artifact: Artifact, stored: Object) -> Finding | None:
        """Compared once more as both are now: one of them may have been read before a move, the other after it."""
        now, told = await object_now(self.peers, name_of(stored)), await record_now(self.peers, artifact.id)
        if now is None or told is None or told.state != ARTIFACT_STATE_ACTIVE or agree(told, now):
            return None
        if self.repair:
            await self.peers.artifacts.RelocateArtifact(relocation(told, now), **self.peers.quick)
        message = f"The record says {_places(told)}, the object is at {_places(now)}."
        return _finding("misplaced", self._mended, message, now, artifact.id)

    async def record(self, artifact: Artifact) -> Finding | None:
        """Look for a record's object."""
        name = name_of(artifact)
        try:
            if await object_now(self.peers, name):
                return None
            told = await record_now(self.peers, artifact.id)
        except AioRpcError as error:
            return failed(name, error, artifact.size, artifact.id)
        if told is None or told.state != ARTIFACT_STATE_ACTIVE:  # deleted since it was listed
            return None
        message = (
            f"The bytes that {_places(artifact)} should hold are gone. Restore them from a backup; the record stays."
        )
        return _finding("lost", Outcome.OPEN, message, artifact, artifact.id)

    async def half_deleted(self, artifact: Artifact) -> Finding | None:
        """Finish a deletion that was broken off long ago."""
        try:
            if self.repair:
                await expire(self.peers, artifact)
        except AioRpcError as error:
            return failed(name_of(artifact), error, artifact.size, artifact.id)
        message = f"Its deletion began at {artifact.update_time.ToJsonString()} and was broken off."
        return _finding("half_deleted", self._mended, message, artifact, artifact.id)

    @property
    def _mended(self) -> Outcome:
        return Outcome.DONE if self.repair else Outcome.OPEN


def _finding(kind: str, outcome: Outcome, message: str, whole: Object | Artifact, artifact_id: str = "") -> Finding:
    return Finding(kind, outcome, message, whole.placement, whole.key, whole.size, whole.backend, artifact_id)


def _difference(artifact: Artifact, stored: Object) -> str:
    return (
        f"The record tells of {artifact.size} bytes with SHA-256 {artifact.sha256[:12]}…, "
        f"the object has {stored.size} with {stored.sha256[:12]}…."
    )


def _places(whole: Object | Artifact) -> str:
    return " and ".join(sorted({copy.backend for copy in whole.copies})) or whole.backend
