"""Bytes come through the gateway the same, whether it shares a disk with the storage service or not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Message

from gateway import handoff, outgoing
from gateway.flows.storing import store, store_large
from gateway.incoming import CutOff, aiter_of
from gateway.peers import Peers, connect
from gateway.settings import GatewaySettings
from modelyard.storage.v1.storage_pb2 import (
    DownloadHeader,
    ListObjectsRequest,
    Object,
    ObjectName,
    UploadHeader,
    UploadTrailer,
)
from servicekit.server import serving
from services.storage.adapters.local.backend import local_backend
from services.storage.adapters.memory import MemoryBackend
from services.storage.bootstrap import compose
from services.storage.settings import StorageSettings

PIECES = [bytes([number % 251]) * 70_000 for number in range(120)]
DATA = b"".join(PIECES)


@pytest.fixture(params=["local", "memory"])
async def peers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Peers]:
    """The gateway's view of a real storage service, over a backend with files or without."""
    address = f"unix:{tmp_path}/storage"
    settings = StorageSettings(bind=address, drain_seconds=1, _env_file=None)
    async with local_backend(tmp_path / "objects") as local:
        backend = local if request.param == "local" else MemoryBackend("local")
        application = compose([backend], b"a key of a test, which is long", timedelta(hours=1))
        async with serving(application, address, settings):
            peers = connect(GatewaySettings(storage_address=address, _env_file=None))
            yield peers
            await peers.close()


def header(key: str = "a") -> UploadHeader:
    return UploadHeader(placement="datasets", key=key, request_id=key, file_name="täble.csv")


def closing(size: int) -> UploadTrailer:
    return UploadTrailer(size=size)


async def left(peers: Peers) -> list[str]:
    """Keys of what is stored."""
    page = await peers.storage.ListObjects(ListObjectsRequest(placement="datasets"), **peers.quick)
    return [found.key for found in page.objects]


async def still_there() -> Message:
    """What a caller sends while it waits for its answer: nothing."""
    await asyncio.Event().wait()
    raise AssertionError("it waits for ever")


async def answer(peers: Peers, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """What a download answers: status, headers, body."""
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "method": "GET", "path": "/", "headers": raw}, still_there)
    response = await outgoing.send(request, peers, ObjectName(placement="datasets", key="a"))
    assert isinstance(response, StreamingResponse)
    async with aclosing(response.body_iterator) as body:
        return response.status_code, dict(response.headers), b"".join([piece async for piece in body])


@pytest.mark.parametrize("send", [store, store_large])
async def test_what_goes_in_comes_out(peers: Peers, send):
    stored = await send(peers, header(), aiter_of(*PIECES), closing)
    status, headers, body = await answer(peers)

    assert stored.size == len(DATA)
    assert (status, body) == (200, DATA)
    assert headers["etag"] == f'"{stored.sha256}"'
    assert headers["content-disposition"].endswith("t%C3%A4ble.csv")


async def test_a_range_comes_out(peers: Peers):
    await store_large(peers, header(), aiter_of(*PIECES), closing)
    status, headers, body = await answer(peers, range="bytes=69990-140009")

    assert (status, body) == (206, DATA[69_990:140_010])
    assert headers["content-range"] == f"bytes 69990-140009/{len(DATA)}"


@pytest.mark.parametrize("send", [store, store_large])
async def test_a_sender_who_leaves_is_told_so_and_leaves_nothing(peers: Peers, send):
    """The reason is the sender's, not what it made of the stream."""

    async def broken() -> AsyncIterator[bytes]:
        yield PIECES[0]
        raise CutOff

    with pytest.raises(CutOff):
        await send(peers, header(), broken(), closing)

    assert await left(peers) == []


@pytest.mark.parametrize("send", [store, store_large])
async def test_a_repeat_meets_the_first_object(peers: Peers, send):
    first = await send(peers, header(), aiter_of(*PIECES), closing)
    again = await send(peers, header(), aiter_of(*PIECES), closing)

    assert first == again


@pytest.mark.parametrize("size", [3, None])
def test_a_file_that_is_not_here_or_not_the_one_is_not_read(tmp_path: Path, size: int | None):
    """The gateway falls back on the wire when a path is another machine's, or its file of another size."""
    path = tmp_path / "file"
    if size is not None:
        path.write_bytes(b"x" * size)

    assert handoff.opened(DownloadHeader(object=Object(size=4), path=str(path), length=4)) is None
