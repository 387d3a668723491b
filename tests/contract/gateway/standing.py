"""Storage and metadata, served for real in this process, as the gateway sees them; and a gateway that dies."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.flows.storing import store
from gateway.incoming import aiter_of
from gateway.peers import Peers, connect
from gateway.settings import GatewaySettings
from modelyard.metadata.v1.artifact_pb2 import (
    ActivateArtifactRequest,
    Artifact,
    ArtifactCopy,
    ArtifactState,
    CreateArtifactRequest,
    GetArtifactRequest,
)
from modelyard.storage.v1.storage_pb2 import GetObjectRequest, Object, ObjectName, UploadHeader, UploadTrailer
from servicekit.server import Application, serving
from services.metadata.bootstrap import in_memory
from services.metadata.settings import MetadataSettings
from services.storage.adapters.memory import MemoryBackend
from services.storage.bootstrap import compose
from services.storage.domain.errors import BackendUnreachable
from services.storage.domain.placements import OnError, Placement
from services.storage.settings import StorageSettings

KEY = b"a signing key of a test, long enough"
BEFORE = tuple(Placement(name, ("local",)) for name in ("datasets", "models", "projects", "uploads"))
"""The policies while there was no cloud."""
PLACEMENTS = (
    Placement("datasets", ("local",), "{user}/{dataset}/{file_name}"),
    Placement("models", ("cloud",), "{user}/{model}/model-{version}.zip"),
    Placement("projects", ("cloud", "local"), "{user}/{file_name}", on_error=OnError.NEXT, keep_local_copy=True),
    Placement("uploads", ("cloud", "local"), "{user}/{timestamp}-{file_name}", on_error=OnError.NEXT),
)
DATA = b"some bytes of a test" * 100
CHANGING = frozenset(
    {"MarkArtifactDeleting", "RetireArtifact", "RelocateArtifact", "DeleteObject", "CopyObject", "ReplicateObjects"}
)


class Cloud(MemoryBackend):
    """A backend that can be down."""

    down = False

    def __getattribute__(self, name: str) -> Any:
        if name in {"create", "open", "stat", "page", "delete", "probe"} and object.__getattribute__(self, "down"):
            raise BackendUnreachable(backend="cloud", why="a test took it down")
        return object.__getattribute__(self, name)


@dataclass
class Clock:
    """The storage service's clock, which a test can put back and forward."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Standing:
    """Two services and their backends, and what the gateway calls them by."""

    peers: Peers
    before: Peers
    """The same, with the policies of `BEFORE`."""
    local: MemoryBackend
    cloud: Cloud
    clock: Clock

    async def put(self, key: str, placement: str = "models", peers: Peers | None = None, **header: Any) -> Object:
        """Store an object, without a record."""
        given = UploadHeader(placement=placement, key=key, owner="ada", request_id=uuid.uuid4().hex, **header)
        trailer = UploadTrailer(size=len(DATA), sha256=hashlib.sha256(DATA).hexdigest())
        return await store(peers or self.peers, given, aiter_of(DATA), lambda _: trailer)

    async def announce(self, key: str, placement: str = "models") -> Artifact:
        """Record that an object will come."""
        artifact = Artifact(user_id="ada", kind="model", placement=placement, key=key)
        request = CreateArtifactRequest(artifact=artifact, request_id=uuid.uuid4().hex)
        return await self.peers.artifacts.CreateArtifact(request, **self.peers.quick)

    async def record(self, artifact: Artifact, stored: Object) -> Artifact:
        """Record that it came."""
        request = ActivateArtifactRequest(
            id=artifact.id,
            backend=stored.backend,
            bucket=stored.bucket,
            uri=stored.uri,
            size=stored.size,
            sha256=stored.sha256,
            copies=[ArtifactCopy(backend=copy.backend, bucket=copy.bucket, uri=copy.uri) for copy in stored.copies],
            fallback=stored.fallback,
            expire_time=stored.expire_time if stored.HasField("expire_time") else None,
        )
        return await self.peers.artifacts.ActivateArtifact(request, **self.peers.quick)

    async def keep(self, key: str, placement: str = "models", peers: Peers | None = None, **header: Any) -> Artifact:
        """Store an object and record it, as every flow does."""
        artifact = await self.announce(key, placement)
        return await self.record(artifact, await self.put(key, placement, peers, **header))

    async def now(self, artifact: Artifact) -> Artifact:
        """A record as it is now."""
        return await self.peers.artifacts.GetArtifact(GetArtifactRequest(id=artifact.id), **self.peers.quick)

    async def state(self, artifact: Artifact) -> str:
        """Where a record is in its life."""
        return ArtifactState.Name((await self.now(artifact)).state).removeprefix("ARTIFACT_STATE_")

    async def object(self, key: str, placement: str = "models") -> Object:
        """An object as it is now."""
        name = ObjectName(placement=placement, key=key)
        return await self.peers.storage.GetObject(GetObjectRequest(name=name), **self.peers.quick)

    def holders(self, key: str) -> set[str]:
        """The backends that really hold something under a key."""
        kept = {"local": self.local._objects, "cloud": self.cloud._objects}
        return {name for name, objects in kept.items() if any(each.key == key for each in objects)}


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Standing]:
    """Services for the length of the block."""
    local, cloud, clock = MemoryBackend("local"), Cloud("cloud"), Clock()
    async with AsyncExitStack() as stack:
        metadata = await _serve(stack, in_memory(), f"unix:{folder}/metadata", MetadataSettings)
        both = []
        for name, placements in (("now", PLACEMENTS), ("before", BEFORE)):
            application = compose([local, cloud], KEY, timedelta(hours=1), placements, clock)
            storage = await _serve(stack, application, f"unix:{folder}/{name}", StorageSettings)
            both.append(connect(GatewaySettings(storage_address=storage, metadata_address=metadata, _env_file=None)))
            stack.push_async_callback(both[-1].close)
        yield Standing(*both, local, cloud, clock)


async def _serve(stack: AsyncExitStack, application: Application, address: str, settings: type[Any]) -> str:
    chosen = settings(bind=address, drain_seconds=0.5, _env_file=None)
    await stack.enter_async_context(serving(application, address, chosen))
    return address


class Killed(Exception):
    """The gateway is gone."""


class Mortal:
    """A stub's methods, until the gateway that calls them is killed: before or after a certain change."""

    def __init__(self, stub: Any, life: "Life") -> None:
        self._stub = stub
        self._life = life

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._stub, method)

        async def lived(request: Any, **options: Any) -> Any:
            self._life.spend(method, "before")
            answer = await call(request, **options)
            self._life.spend(method, "after")
            return answer

        return lived


@dataclass
class Life:
    """How many moments around changes are left to live."""

    left: int

    def spend(self, method: str, moment: str) -> None:
        """Live through a moment; raises Killed when it was the last, and ever after."""
        if method in CHANGING:
            self.left -= 1
        if self.left < 0:
            raise Killed(method, moment)


def mortal(peers: Peers, moments: int) -> Peers:
    """Peers of a gateway that is killed after so many moments: each change has one before it and one after it."""
    life = Life(moments)
    return replace(peers, storage=Mortal(peers.storage, life), artifacts=Mortal(peers.artifacts, life))


async def told(steps: AsyncIterator[Any]) -> Sequence[Any]:
    """All that a flow tells."""
    return [step async for step in steps]
