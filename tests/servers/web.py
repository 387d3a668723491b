"""A web server on loopback that says what a test wants, and remembers what it was asked.

with web() as server:
    server.on("/data.csv", b"a,b\\n1,2\\n")
    server.on("/gone", status=404)
    ...
"""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """A request; names of headers in small letters."""

    method: str
    path: str
    """With the query."""
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Said:
    """An answer. What it promises by Content-Length may be more than it gives."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_at: int | None = None
    """Bytes after which the connection is cut."""
    hangs: bool = False
    """Whether nothing comes after the head."""


Answering = Callable[[Asked], Said]


class Web:
    """A server that runs."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.open = threading.Event()
        self._answers: dict[str, Answering] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def on(self, path: str, body: bytes = b"", **said) -> str:
        """Answer a path so, whatever the query; its address."""
        return self.answer(path, lambda _: Said(body=body, **said))

    def answer(self, path: str, answering: Answering) -> str:
        """The same, by what is asked."""
        self._answers[path] = answering
        return self.url + path

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """From now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def said(self, asked: Asked) -> Said:
        """What to answer."""
        self.asked.append(asked)
        answering = self._answers.get(urlsplit(asked.path).path)
        return answering(asked) if answering else Said(404, body=b"there is nothing here")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, *_) -> None:
        """Nothing: tests look at what was asked."""

    def handle(self) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            super().handle()

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        said = self.web.said(Asked(self.command, self.path, headers, self.rfile.read(length)))
        self._say(said)

    def do_POST(self) -> None:
        self.do_GET()

    def _say(self, said: Said) -> None:
        self.send_response(said.status)
        for name, value in ({"Content-Length": str(len(said.body))} | dict(said.headers)).items():
            if value:
                self.send_header(name, value)
        self.close_connection = said.cut_at is not None or said.hangs or not said.headers.get("Content-Length", "0")
        self.end_headers()
        if said.hangs:
            self.web.open.wait(60)
        self.wfile.write(said.body[: said.cut_at])


@contextmanager
def web() -> Iterator[Web]:
    """A server for the block."""
    server = Web()
    server.start()
    try:
        yield server
    finally:
        server.stop()
