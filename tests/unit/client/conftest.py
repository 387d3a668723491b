"""A small real HTTP server on loopback, whose answers each test scripts."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from modelyard.client import Client


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the next scripted answer of its route."""

    protocol_version = "HTTP/1.1"
    server: "Gateway"

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        answers = self.server.script[f"{self.command} {path}"]
        self.server.seen.append(self)
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, body: object, status: int = 200) -> None:
        self.send(status, json.dumps(body).encode(), Content_Type="application/json")

    def send_events(self, *events: tuple[str, dict[str, object]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for name, data in events:
            self.wfile.write(f": ping\r\nevent: {name}\r\ndata: {json.dumps(data)}\r\n\r\n".encode())
        self.close_connection = True


Answering = Callable[[Handler], None]


class Gateway(ThreadingHTTPServer):
    """The server: routes to lists of answers, the last of which stays."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: dict[str, list[Answering]] = {}
        self.seen: list[Handler] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def on(self, route: str, *answers: Answering) -> None:
        self.script[route] = list(answers)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    with Client(gateway.url, api_key="k3y") as connected:
        yield connected


@dataclass
class Heard:
    """What a callback was told."""

    calls: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))


@pytest.fixture
def heard() -> Heard:
    return Heard()
