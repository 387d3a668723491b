"""What happens around every request."""

import re
import time
import uuid

import structlog
from fastapi import Request
from prometheus_client import Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import identity, problems
from gateway.settings import GatewaySettings
from servicekit import errors
from servicekit.handling import REQUEST_ID
from servicekit.logging import get_logger

log = get_logger()

PLAIN_ID = re.compile(r"[\x21-\x7e]{1,128}")

ANSWERED = Counter("http_requests_total", "Requests answered, by route and status.", ["method", "route", "status"])
SECONDS = Histogram("http_request_seconds", "Seconds to the end of the answer, by route.", ["method", "route"])


class Around:
    """Gives every request an id, refuses hostile pages, and logs and measures the answer.

    It hands bytes through untouched, so that a stream costs no more for it.
    """

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get(REQUEST_ID, "")
        request_id = given if PLAIN_ID.fullmatch(given) else uuid.uuid4().hex
        answer = _Answer(send, request_id)
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app_or_refusal(request)(scope, receive, answer.send)
            finally:
                _note(request, answer.status, time.perf_counter() - started)

    def _app_or_refusal(self, request: Request) -> ASGIApp:
        try:
            identity.check_browser(request, self._settings)
        except errors.Problem as refused:
            return problems.told(request, problems.of_problem(refused))
        return self._app


class _Answer:
    """An answer on its way out: its status, and the request's id in its head."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status = 0  # until there is one: the caller left first

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[REQUEST_ID] = self._request_id
        await self._send(message)


def _note(request: Request, status: int, seconds: float) -> None:
    route = getattr(request.scope.get("route"), "path", "unknown")
    ANSWERED.labels(request.method, route, status).inc()
    SECONDS.labels(request.method, route).observe(seconds)
    level = "info" if status >= 400 or request.method not in {"GET", "HEAD"} else "debug"
    getattr(log, level)(
        "answered", method=request.method, path=problems.shown_path(request), status=status, ms=round(seconds * 1000, 1)
    )
