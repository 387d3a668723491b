"""A proxy on loopback before any HTTP server, which fails on demand.

    with faulty("http://127.0.0.1:10000") as proxy:
        proxy.answer(503, times=2)  # the next two requests
        proxy.cut_answer(after=1000, when=lambda request: request.method == "GET")
        ...
        proxy.heal()

It runs in a thread with a loop of its own, so that tests of any kind can use it.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

ALWAYS = 10**9
_PIECE = 64 * 1024
_LONGEST_HEAD = 1024 * 1024


@dataclass(frozen=True)
class Request:
    """What a client asks for; names of headers in small letters."""

    method: str
    path: str
    """With the query."""
    headers: Mapping[str, str]


When = Callable[[Request], bool]


@dataclass
class Rule:
    """What to do to requests. What is not set happens as if there were no proxy."""

    when: When
    times: int
    """How many requests it is still for."""
    delay: float = 0
    """Seconds before the request goes on."""
    status: int = 0
    """Answer with it, instead of asking the server."""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_body: int | None = None
    """Cut the connection once so many bytes of the request's body have reached the server."""
    cut_answer: int | None = None
    """Cut it once so many bytes of the answer, its head included, have gone to the client."""
    change_body: bool = False
    """Turn a bit of the request's body."""


class Cut(Exception):
    """This connection ends here."""


class Faults:
    """A proxy that runs."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faults", daemon=True)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.Task[None]] = set()
        self._rules: list[Rule] = []
        self.requests: list[Request] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def seen(self, when: When = lambda _: True) -> int:
        """How many such requests came."""
        return sum(when(request) for request in self.requests)

    def forget(self) -> None:
        """Count requests from here."""
        self.requests.clear()

    def answer(
        self,
        status: int,
        times: int = ALWAYS,
        headers: Mapping[str, str] | None = None,
        when: When = lambda _: True,
    ) -> None:
        """Answer requests with a status; the server does not get them."""
        self._rules.append(Rule(when, times, status=status, headers=headers or {}))

    def delay(self, seconds: float, times: int = ALWAYS, when: When = lambda _: True) -> None:
        """Hold requests back."""
        self._rules.append(Rule(when, times, delay=seconds))

    def cut_body(self, after: int, times: int = ALWAYS, when: When = lambda _: True) -> None:
        """Cut requests off within their body."""
        self._rules.append(Rule(when, times, cut_body=after))

    def cut_answer(self, after: int, times: int = ALWAYS, when: When = lambda _: True) -> None:
        """Cut answers off; after 0 bytes the server has done its work and the client does not hear of it."""
        self._rules.append(Rule(when, times, cut_answer=after))

    def change_body(self, when: When = lambda _: True, times: int = ALWAYS) -> None:
        """Let requests get there with other bytes than were sent."""
        self._rules.append(Rule(when, times, change_body=True))

    def refuse(self) -> None:
        """Take no connection, and end those that are open."""
        self._run(self._stop())

    def heal(self) -> None:
        """Be a proxy like any other again, at the same address."""
        self._rules.clear()
        self._run(self._listen())

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._run(self._listen())

    def stop(self) -> None:
        """End for good."""
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accepted, "127.0.0.1", self._port, limit=_LONGEST_HEAD, reuse_address=True
            )
            self._port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        open_now = list(self._open)
        for connection in open_now:
            connection.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._open.add(task)
        writers = [writer]
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target, limit=_LONGEST_HEAD)
            writers.append(server_writer)
            while await self._exchange(reader, writer, server_reader, server_writer):
                pass
        except (OSError, EOFError, Cut, asyncio.CancelledError):
            pass  # either side has gone, or was meant to
        finally:
            for each in writers:
                each.transport.abort()
            self._open.discard(task)

    async def _exchange(self, reader, writer, server_reader, server_writer) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, headers = _parsed(head)
        method, path, _ = first.split(" ", 2)
        request = Request(method, path, headers)
        self.requests.append(request)
        rule = self._rule_for(request)
        await asyncio.sleep(rule.delay)
        if rule.status:
            await _discard(reader, headers)
            await _answer(writer, rule)
            return True
        server_writer.write(head)
        body = _pieces(reader, headers)
        await _relay(_changed(body) if rule.change_body else body, server_writer, rule.cut_body)
        await _relay_answer(server_reader, writer, method, rule.cut_answer)
        return True

    def _rule_for(self, request: Request) -> Rule:
        for rule in self._rules:
            if rule.times and rule.when(request):
                rule.times -= 1
                return rule
        return Rule(lambda _: True, 0)


def _parsed(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    pairs = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _answer(writer: asyncio.StreamWriter, rule: Rule) -> None:
    lines = [f"HTTP/1.1 {rule.status} Fault", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in rule.headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    await writer.drain()


async def _pieces(reader: asyncio.StreamReader, headers: Mapping[str, str]):
    """The bytes of a body as they are on the wire."""
    if "chunked" in headers.get("transfer-encoding", ""):
        while True:
            size = await reader.readuntil(b"\r\n")
            yield size + await reader.readexactly(int(size.split(b";")[0], 16) + 2)
            if not int(size.split(b";")[0], 16):
                return
    left = int(headers.get("content-length", 0))
    while left:
        piece = await reader.read(min(left, _PIECE))
        if not piece:
            raise Cut
        left -= len(piece)
        yield piece


async def _discard(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> None:
    async for _ in _pieces(reader, headers):
        pass


async def _changed(pieces):
    first = True
    async for piece in pieces:
        yield bytes([piece[0] ^ 1]) + piece[1:] if first else piece
        first = False


async def _relay_answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, cut: int | None
) -> None:
    status = 100
    while 100 <= status < 200:
        head = await reader.readuntil(b"\r\n\r\n")
        first, headers = _parsed(head)
        status = int(first.split(" ")[1])

        async def whole(head=head, headers=headers, status=status):
            yield head
            if method != "HEAD" and status >= 200 and status not in {204, 304}:
                async for piece in _pieces(reader, headers):
                    yield piece

        await _relay(whole(), writer, cut)


async def _relay(pieces, writer: asyncio.StreamWriter, cut: int | None) -> None:
    sent = 0
    async for piece in pieces:
        if cut is not None and sent + len(piece) >= cut:
            with suppress(OSError):
                writer.write(piece[: cut - sent])
                await writer.drain()
                await asyncio.sleep(0.02)  # so that it gets there before the connection breaks
            raise Cut
        writer.write(piece)
        await writer.drain()
        sent += len(piece)
    await writer.drain()
    if cut is not None:
        raise Cut


@contextmanager
def faulty(target: str) -> Iterator[Faults]:
    """A proxy before a server, for the length of the block."""
    proxy = Faults(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
