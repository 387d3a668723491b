"""Failures on demand."""

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CUT_AFTER = web.RequestKey("cut_after", int)
"""How many bytes of the answer's body leave before the connection breaks."""

MESSAGES = {
    401: "Invalid Signature",
    403: "Your account is disabled",
    420: "Rate Limit Exceeded. Limit of 500 api operations reached. Try again on 2026-11-21 11:00:00 UTC",
    429: "Too many requests",
    500: "General Error",
    503: "Service Unavailable",
}
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass
class Fault:
    """What becomes of the next requests whose path a pattern finds."""

    kind: str
    times: int
    path: str
    status: int = 0
    after: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)


class Faults:
    """The failures that are still to come, in order; and every request that was seen, without its secrets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._coming: list[Fault] = []
        self.seen: list[tuple[str, str]] = []
        self.stopping = asyncio.Event()

    def add(self, fault: Fault) -> None:
        """One more failure to come."""
        with self._lock:
            self._coming.append(fault)

    def clear(self) -> None:
        """No failures, nothing seen."""
        with self._lock:
            self._coming.clear()
            self.seen.clear()

    def take(self, request: web.Request) -> Fault | None:
        """The failure that this request meets."""
        with self._lock:
            self.seen.append((request.method, request.path))
            for fault in self._coming:
                if fault.times > 0 and re.search(fault.path, request.path):
                    fault.times -= 1
                    return fault
        return None

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, unless it meets a failure."""
        fault = self.take(request)
        if fault is None:
            return await handler(request)
        return await getattr(self, f"_{fault.kind}")(fault, request, handler)

    async def _status(self, fault: Fault, request: web.Request, _: Handler) -> web.StreamResponse:
        await request.read()
        if fault.status == 502:
            return web.Response(status=502, body=PAGE, content_type="text/html")
        message = MESSAGES.get(fault.status, "Something is wrong")
        return web.json_response({"error": {"message": message}}, status=fault.status)

    async def _hang(self, _: Fault, request: web.Request, __: Handler) -> web.StreamResponse:
        await self.stopping.wait()
        return cut(request)

    async def _go_well(self, _: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request)

    async def _hold(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        await fault.go_on.wait()
        return response

    async def _cut_request(self, fault: Fault, request: web.Request, _: Handler) -> web.StreamResponse:
        left = fault.after
        while left > 0 and (data := await request.content.read(left)):
            left -= len(data)
        return cut(request)

    async def _cut_answer(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        request[CUT_AFTER] = fault.after
        response = await handler(request)
        return response if response.prepared else cut(request)


def cut(request: web.Request) -> web.Response:
    """Break the connection; nothing more reaches the caller."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
