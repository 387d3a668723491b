"""The storage service over each of its backends, and a client that holds only the stub."""

import asyncio
import hashlib
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import grpc
import httpx
import pytest

from modelyard.storage.v1 import storage_pb2 as pb
from modelyard.storage.v1 import storage_pb2_grpc
from servicekit.channels import Channel
from servicekit.server import Application, serving
from services.storage.adapters.azure.account import Patience
from services.storage.adapters.azure.backend import azure_backend
from services.storage.adapters.cloudinary.backend import cloudinary_backend
from services.storage.adapters.local.backend import local_backend
from services.storage.adapters.memory import MemoryBackend
from services.storage.bootstrap import compose
from services.storage.domain.placements import PLACEMENTS, OnError
from services.storage.domain.ports import Backend
from services.storage.settings import StorageSettings
from tests.folders import paths_below
from tests.servers.azurite import Azurite, azurite
from tests.servers.cloudinary.fixtures import account_of
from tests.servers.cloudinary.server import CloudinaryServer
from tests.servers.cloudinary.server import cloudinary_server as cloudinary_serving

KEY = b"a signing key of a test, long enough"

Address = TypeVar("Address")
Read = TypeVar("Read")


@dataclass
class Clock:
    """A clock that a test can put forward."""

    moment: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    """Begins with the truth: what a cloud signs, it judges by its own clock."""

    def __call__(self) -> datetime:
        return self.moment


class Store:
    """A client of the service."""

    def __init__(self, address: str) -> None:
        self._channel = Channel(address)
        self.stub = storage_pb2_grpc.StorageServiceStub(self._channel.grpc)
        self.patience_seconds = 60  # a busy machine has once taken more than 20

    @property
    def within(self):
        return self._channel.within(self.patience_seconds)

    async def close(self) -> None:
        await self._channel.close()

    @staticmethod
    def header(key: str, placement: str = "datasets", request_id: str = "", **fields) -> pb.UploadRequest:
        request_id = request_id or uuid.uuid4().hex
        return pb.UploadRequest(header=pb.UploadHeader(placement=placement, key=key, request_id=request_id, **fields))

    @staticmethod
    def chunks(data: bytes, size: int = 256 * 1024) -> list[pb.UploadRequest]:
        return [pb.UploadRequest(chunk=data[start : start + size]) for start in range(0, len(data), size)]

    @staticmethod
    def trailer(data: bytes, sha256: str | None = None) -> pb.UploadRequest:
        sha256 = hashlib.sha256(data).hexdigest() if sha256 is None else sha256
        return pb.UploadRequest(trailer=pb.UploadTrailer(size=len(data), sha256=sha256))

    async def send(self, parts: Iterable[pb.UploadRequest]) -> pb.Object:
        return await self.stub.Upload(iter(parts), **self.within)

    async def put(self, key: str, data: bytes = b"some bytes", **header) -> pb.Object:
        return await self.send([self.header(key, **header), *self.chunks(data), self.trailer(data)])

    async def read(self, request: pb.DownloadRequest) -> tuple[pb.DownloadHeader, bytes]:
        messages = [message async for message in self.stub.Download(request, **self.within)]
        assert all(len(message.chunk) <= 256 * 1024 for message in messages)
        return messages[0].header, b"".join(message.chunk for message in messages[1:])

    async def get(self, key: str, offset: int = 0, length: int = 0) -> bytes:
        request = pb.DownloadRequest(name=self.name(key), offset=offset, length=length)
        header, data = await self.read(request)
        assert header.length == len(data)
        return data

    @staticmethod
    def name(key: str, placement: str = "datasets") -> pb.ObjectName:
        return pb.ObjectName(placement=placement, key=key)

    async def stat(self, key: str) -> pb.Object:
        return await self.stub.GetObject(pb.GetObjectRequest(name=self.name(key)), **self.within)

    async def page(self, prefix: str = "", size: int = 0, token: str = "", placement: str = "datasets"):
        request = pb.ListObjectsRequest(placement=placement, prefix=prefix, page_size=size, page_token=token)
        return await self.stub.ListObjects(request, **self.within)

    async def keys(self, prefix: str = "", size: int = 0) -> list[str]:
        """All keys, page by page."""
        page = await self.page(prefix, size)
        keys = [found.key for found in page.objects]
        while page.next_page_token:
            page = await self.page(prefix, size, page.next_page_token)
            keys += [found.key for found in page.objects]
        return keys

    async def copy(self, key: str, to: str = "", **how: str) -> pb.Object:
        destination = self.name(to) if to else None
        request = pb.CopyObjectRequest(source=self.name(key), destination=destination, **how)
        return await self.stub.CopyObject(request, **self.within)

    async def delete(self, key: str, allow_missing: bool = False, backend: str = "") -> int:
        request = pb.DeleteObjectRequest(name=self.name(key), allow_missing=allow_missing, backend=backend)
        return (await self.stub.DeleteObject(request, **self.within)).size

    async def delete_all(self, prefix: str) -> pb.DeleteObjectsResponse:
        request = pb.DeleteObjectsRequest(placement="datasets", prefix=prefix)
        return await self.stub.DeleteObjects(request, **self.within)

    async def sign(self, key: str, **ttl: timedelta) -> pb.SignDownloadResponse:
        return await self.stub.SignDownload(pb.SignDownloadRequest(name=self.name(key), **ttl), **self.within)


@asynccontextmanager
async def store_over(application: Application, socket: str) -> AsyncIterator[Store]:
    """A client of a service that is served for the length of the block."""
    settings = StorageSettings(bind=socket, drain_seconds=0.5, _env_file=None)
    async with serving(application, socket, settings) as server:
        store = Store(server.address)
        yield store
        await store.close()


async def early_and_late(
    sign: Callable[[datetime], Awaitable[Address]], read: Callable[[Address], Awaitable[Read]]
) -> tuple[Read, Read]:
    """What is read at an address before its end, and what after it; given more time where that went by meanwhile."""
    for seconds in (3, 6, 12, 24, 48):
        # A whole second: to those a signature is good.
        end = (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)
        address = await sign(end)
        early = await read(address)
        if datetime.now(UTC) < end:
            break
    await asyncio.sleep((end - datetime.now(UTC)).total_seconds() + 1)
    return early, await read(address)


@contextmanager
def refused(code: grpc.StatusCode) -> Iterator[pytest.ExceptionInfo[grpc.aio.AioRpcError]]:
    """The block's call fails with a status and a sentence."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield caught

    assert caught.value.code() is code, caught.value.details()
    assert caught.value.details().endswith(".")


@pytest.fixture(name="refused")
def refused_fixture():
    return refused


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def leftovers(root: Path) -> Callable[[], list[Path]]:
    """What lies beside the objects, but for probes: uploads that run, and whatever was not cleaned up."""
    return lambda: [path for path in paths_below(root / ".incoming") if not path.name.startswith("probe-")]


@pytest.fixture
def published(root: Path) -> Callable[[], list[Path]]:
    """The objects as they lie on the disk."""
    return lambda: [path for folder in root.glob("[!.]*") for path in paths_below(folder) if path.is_file()]


@pytest.fixture(scope="session")
def azurite_server() -> Iterator[Azurite]:
    with azurite() as server:
        yield server


@pytest.fixture(scope="session")
def cloudinary_server() -> Iterator[CloudinaryServer]:
    with cloudinary_serving() as server:
        yield server


@asynccontextmanager
async def memory_backend() -> AsyncIterator[MemoryBackend]:
    yield MemoryBackend()


def backend_of(name: str, request: pytest.FixtureRequest, root: Path) -> AbstractAsyncContextManager[Backend]:
    """A backend of this name with nothing in it."""
    match name:
        case "azure":
            # Nothing fails on purpose here, and on a busy machine Azurite has once been silent for two seconds.
            return azure_backend(request.getfixturevalue("azurite_server").account(patience=Patience()))
        case "cloudinary":
            server = request.getfixturevalue("cloudinary_server")
            return cloudinary_backend(account_of(server, server.cloud()))
        case "local":
            return local_backend(root)
        case _:
            return memory_backend()


@pytest.fixture(params=["local", "memory", "azure", "cloudinary"])
async def backend(request: pytest.FixtureRequest, root: Path):
    async with backend_of(request.param, request, root) as backend:
        yield backend


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def socket() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="storage-") as folder:
        yield f"unix:{folder}/s"


@pytest.fixture
def served_with(backend, clock: Clock, socket: str):
    """The service over the backend, with a quota; it can be started again, and then finds what it left."""

    @asynccontextmanager
    async def served_with(quota: int = 0) -> AsyncIterator[Store]:
        places = [replace(place, backends=(backend.name,), on_error=OnError.FAIL) for place in PLACEMENTS]
        application = compose([backend], KEY, timedelta(seconds=3600), places, now=clock, quota=quota)
        async with store_over(application, socket) as store:
            yield store

    return served_with


@pytest.fixture
async def store(served_with) -> AsyncIterator[Store]:
    async with served_with() as store:
        yield store


@pytest.fixture
def send_by_ticket():
    async def send_by_ticket(store: Store, ticket: pb.UploadTicket, data: bytes) -> None:
        """Do as a ticket says; where the gateway would take the bytes, do as the gateway does."""
        if ticket.uri.startswith("/uploads/"):
            header = pb.UploadRequest(header=pb.UploadHeader(token=ticket.token))
            await store.send([header, *store.chunks(data), store.trailer(data)])
            return
        async with httpx.AsyncClient() as client:
            form = (
                {"data": dict(ticket.fields), "files": {"file": data}} if ticket.method == "POST" else {"content": data}
            )
            answer = await client.request(ticket.method, ticket.uri, headers=dict(ticket.headers), **form)

        assert answer.is_success, answer.text

    return send_by_ticket


@pytest.fixture
def fetch():
    async def fetch(store: Store, uri: str) -> bytes | None:
        """What an address gives; None when it refuses. Where the gateway would serve it, ask as the gateway does."""
        if uri.startswith("/files/"):
            try:
                return (await store.read(pb.DownloadRequest(token=uri.split("/")[2])))[1]
            except grpc.aio.AioRpcError:
                return None
        async with httpx.AsyncClient(follow_redirects=True) as client:
            answer = await client.get(uri)
        return answer.content if answer.is_success else None

    return fetch


@pytest.fixture
def connect() -> Callable[[str], Store]:
    return Store


@pytest.fixture
def eventually():
    async def eventually(holds: Callable[[], bool], seconds: float = 10) -> None:
        """Wait for something that another process or thread is about to do."""
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.01)

    return eventually
