"""Tries every backend that can be reached: bytes go in, come back, are compared, and are deleted.

A test's object is of nobody and expires within the hour: one that a killed test leaves is swept.
"""

import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration
from grpc.aio import AioRpcError

from gateway.flows.storing import delete, store
from gateway.incoming import aiter_of
from gateway.peers import SCAN_SECONDS, Peers
from gateway.upkeep.reading import copies_of, object_now, placements
from gateway.upkeep.scanning import UNRECORDED
from modelyard.storage.v1.storage_pb2 import (
    CopyObjectRequest,
    DeleteObjectRequest,
    DownloadRequest,
    ListBackendsRequest,
    Object,
    ObjectName,
    Placement,
    UploadHeader,
    UploadTrailer,
)
from servicekit import errors

TEST_BYTES = 300_000  # more than one message
EXPIRY_SECONDS = 3600


class CameBackDifferent(errors.DataLoss):
    """What was read back from {backend} is not what was stored there."""


class NotKeptThere(errors.Unavailable):
    """The object was stored, but not at {backend}: {why}."""


class StillThere(errors.DataLoss):
    """The object was deleted, and is still there."""


@dataclass(frozen=True)
class Trial:
    """How one part of the test of a backend came out."""

    backend: str
    part: str
    """store, read or delete."""
    ok: bool
    message: str = ""

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        return {"backend": self.backend, "part": self.part, "ok": self.ok, "message": self.message}


async def check(peers: Peers) -> AsyncIterator[Trial]:
    """Test each backend that is configured, can be reached and is used by a placement."""
    policies = await placements(peers)
    answer = await peers.storage.ListBackends(ListBackendsRequest(), **peers.within(SCAN_SECONDS))
    for backend in answer.backends:
        policy = _policy_of(policies, backend.name)
        if backend.reachable and policy:
            async for trial in _try(peers, policy, backend.name):
                yield trial


def _policy_of(policies: list[Placement], backend: str) -> Placement | None:
    """A placement by which bytes get to a backend, best one whose home it is."""
    using = [policy for policy in policies if backend in policy.backends]
    return min(using, key=lambda policy: list(policy.backends).index(backend), default=None)


async def _try(peers: Peers, policy: Placement, backend: str) -> AsyncIterator[Trial]:
    name = ObjectName(placement=policy.name, key=f"self-test/{uuid.uuid4().hex}.bin")
    data = os.urandom(TEST_BYTES)
    try:
        stored = await _outcome(backend, "store", _stored(peers, name, data, backend))
        yield stored
        if stored.ok:
            yield await _outcome(backend, "read", _read(peers, name, data, backend))
    finally:
        deleted = await _outcome(backend, "delete", _deleted(peers, name))
    yield deleted


async def _outcome(backend: str, part: str, work: Awaitable[None]) -> Trial:
    try:
        await work
    except errors.Problem as problem:
        return Trial(backend, part, ok=False, message=problem.message)
    except AioRpcError as error:
        return Trial(backend, part, ok=False, message=error.details() or error.code().name)
    return Trial(backend, part, ok=True)


async def _stored(peers: Peers, name: ObjectName, data: bytes, backend: str) -> None:
    """Store an object so that this backend holds it, and no other does."""
    header = UploadHeader(
        placement=name.placement,
        key=name.key,
        file_name="self-test.bin",
        request_id=uuid.uuid4().hex,
        context={UNRECORDED: "self-test"},
        expires_after=Duration(seconds=EXPIRY_SECONDS),
    )
    trailer = UploadTrailer(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    stored = await store(peers, header, aiter_of(data), lambda _: trailer)
    if backend not in _holders(stored):
        request = CopyObjectRequest(source=name, backend=backend)
        await peers.storage.CopyObject(request, **peers.within(SCAN_SECONDS))
    for other in _holders(stored) - {backend}:
        await peers.storage.DeleteObject(DeleteObjectRequest(name=name, backend=other), **peers.within(SCAN_SECONDS))
    now = await object_now(peers, name)
    if now is None or _holders(now) != {backend}:
        told = "; ".join(failure.message for failure in stored.failures)
        raise NotKeptThere(backend=backend, why=told or "nothing tells why")


def _holders(stored: Object) -> set[str]:
    return {copy.backend for copy in copies_of(stored)}


async def _read(peers: Peers, name: ObjectName, data: bytes, backend: str) -> None:
    """Read the object back, whole, through storage."""
    call = peers.storage.Download(DownloadRequest(name=name), **peers.within(SCAN_SECONDS))
    received = b"".join([message.chunk async for message in call])
    if received != data:
        raise CameBackDifferent(backend=backend)


async def _deleted(peers: Peers, name: ObjectName) -> None:
    """Delete the object, and see that it is gone."""
    await delete(peers, name)
    if await object_now(peers, name):
        raise StillThere
