"""Slices of files go out as bytes do: in order, whole, also to slow receivers, and never short without their notice."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from gateway.sendfile import FileProtocol, FileSlice, takes_slices

SIZE = 40_000_000
Finish = Callable[[bool], None]


@pytest.fixture(scope="module")
def big(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sendfile") / "big"
    path.write_bytes(os.urandom(1_000_003) * 39 + b"end")
    os.truncate(path, SIZE)
    return path


@asynccontextmanager
async def serving(path: Path, finish: Finish, start: int = 0, count: int = SIZE) -> AsyncIterator[str]:
    """A server whose every answer is two slices of a file and some bytes around them."""

    async def app(scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        assert takes_slices(scope)
        length = str(count + 10).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        with path.open("rb") as file:
            for first, size in ((start, count // 3), (start + count // 3, count - count // 3)):
                piece = FileSlice(file.fileno(), first, size)
                try:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                finally:
                    sent = await piece.finished()
                if not sent:
                    break
        finish(sent)
        await send({"type": "http.response.body", "body": b"after", "more_body": False})

    server = uvicorn.Server(uvicorn.Config(app, port=0, http=FileProtocol, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    yield f"http://{host}:{port}"
    server.should_exit = True
    await serving


async def test_slices_and_bytes_come_in_order_also_on_a_connection_that_is_used_again(big: Path):
    ended: list[bool] = []
    expected = b"first" + big.read_bytes() + b"after"
    async with serving(big, ended.append) as url, httpx.AsyncClient() as client:
        answers = [await client.get(url) for _ in range(3)]
        together = await asyncio.gather(*(client.get(url) for _ in range(4)))

    assert all(answer.content == expected for answer in [*answers, *together])
    assert ended == [True] * 7


async def test_a_span_of_a_file_is_just_that_span(big: Path):
    async with serving(big, lambda _: None, start=12_345, count=1_000) as url, httpx.AsyncClient() as client:
        answer = await client.get(url)

    assert answer.content == b"first" + big.read_bytes()[12_345:13_345] + b"after"


async def test_a_slow_receiver_gets_everything(big: Path):
    async with serving(big, lambda _: None) as url, httpx.AsyncClient() as client:
        read = bytearray()
        async with client.stream("GET", url) as answer:
            async for piece in answer.aiter_bytes(4_000_000):
                read += piece
                await asyncio.sleep(0.05)

    assert bytes(read) == b"first" + big.read_bytes() + b"after"


async def test_a_receiver_that_leaves_ends_the_sending(big: Path):
    ended: asyncio.Queue[bool] = asyncio.Queue()
    before = len(list(Path("/proc/self/fd").iterdir()))
    async with serving(big, ended.put_nowait) as url:
        async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
            await anext(answer.aiter_bytes(1000))
        sent = await asyncio.wait_for(ended.get(), 5)

    assert sent is False
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1  # of the loop's own


async def test_a_file_that_became_shorter_is_not_taken_for_a_whole_one(big: Path, tmp_path: Path):
    short = tmp_path / "short"
    short.write_bytes(big.read_bytes()[: SIZE // 2])
    async with serving(short, lambda _: None) as url, httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(url)
