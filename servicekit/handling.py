"""What happens around every call, each concern in one place.

Each is a function of a `Call`; `handling` says in which order they come. `Methods` puts that around all four kinds of
methods, so that no concern knows whether it is about a unary call or a stream.
"""

import asyncio
import contextlib
import functools
import hmac
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from grpc_status import rpc_status
from prometheus_client import Counter, Histogram
from typing_extensions import override

from servicekit import errors, statuses
from servicekit.logging import get_logger

log = get_logger()

REQUEST_ID = "x-request-id"
OPEN_TO_ALL = ("/grpc.health.v1.Health/",)
UNARY_DEADLINE_SECONDS = 60.0
HEARING_SECONDS = 2.0
PAUSE_SECONDS = 1.0

HANDLED = Counter("grpc_server_handled_total", "Calls ended, by method and status.", ["method", "code"])
SECONDS = Histogram("grpc_server_handling_seconds", "Seconds a call took, by method.", ["method"])


# Looking them up by their labels takes longer than counting.
_handled = functools.cache(HANDLED.labels)
_seconds = functools.cache(SECONDS.labels)


class CallerUnknown(errors.Unauthenticated):
    """The call carries no valid service token. Give both processes the same MODELYARD_SERVICE_TOKEN."""


@dataclass(frozen=True)
class Call:
    """One call as the concerns around it see it."""

    method: str
    context: grpc.aio.ServicerContext[Any, Any]
    streams: bool
    requests: AsyncIterator[Any] | None = None
    """The messages that are still to come, where the caller sends a stream of them."""

    def header(self, name: str) -> str:
        """The value of a metadata entry of the request, or the empty string."""
        for key, value in self.context.invocation_metadata() or ():
            if key == name:
                return value if isinstance(value, str) else value.decode("ascii", "replace")
        return ""


Check = Callable[[Call], None]
"""Raises what keeps a call from being handled."""


def take_request_id(call: Call) -> None:
    """Take the request's id from the caller, or make one, for every log line of this call.

    It is never taken back: every call has a context of its own, which ends with it.
    """
    structlog.contextvars.bind_contextvars(request_id=call.header(REQUEST_ID) or secrets.token_hex(16))


def _aborted_as(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    code: object = context.code()
    return code.name if isinstance(code, grpc.StatusCode) else _name_of(code)


def _name_of(number: object) -> str:
    # Once a call was aborted the library keeps the number of the status, not the status.
    return next((code.name for code in grpc.StatusCode if code.value[0] == number), "UNKNOWN")


async def abort(call: Call, error: Exception) -> None:
    """End a call with the status of an error; of those nobody foresaw the caller learns only that they happened."""
    context = call.context
    match error:
        case grpc.aio.AbortError():
            raise error
        case errors.Problem():
            await _hear_out(call.requests)
            await context.abort_with_status(rpc_status.to_status(statuses.status_of(error)))
        case grpc.aio.AioRpcError():  # of a service that this one called: passed on as it is
            await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata()))
        case TimeoutError():
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "The call took longer than its deadline.")
        case _:
            log.error("call failed unexpectedly", method=call.method, exc_info=error)
            sentence = "Something went wrong that we did not foresee; the service's log tells more."
            await context.abort(grpc.StatusCode.INTERNAL, sentence)


async def _hear_out(requests: AsyncIterator[Any] | None) -> None:
    """Let a caller that is still sending come to a pause, for a while.

    The client library loses the status of a call that ends while it sends a message, and reports INTERNAL instead. Who
    has sent all is answered at once; a busy client may well hold its breath for a good part of a second.
    """
    if requests is None:
        return
    with contextlib.suppress(TimeoutError, StopAsyncIteration):
        async with asyncio.timeout(HEARING_SECONDS):
            while True:
                async with asyncio.timeout(PAUSE_SECONDS):
                    await anext(requests)


def remaining_seconds(call: Call) -> float | None:
    """How long a call may take: until its caller's deadline, or ours for a unary call whose caller set none."""
    remaining = call.context.time_remaining()
    return UNARY_DEADLINE_SECONDS if remaining is None and not call.streams else remaining


def authentication(token: str) -> Check:
    """Let in only calls that carry the service token; without a token, which only loopback allows, let in all."""

    def check(call: Call) -> None:
        if not token or call.method.startswith(OPEN_TO_ALL):
            return
        given = call.header("authorization").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise CallerUnknown

    return check


def account(call: Call, ended: str, seconds: float) -> None:
    """Log and count a call that has ended."""
    _handled(call.method, ended).inc()
    _seconds(call.method).observe(seconds)
    level = "debug" if ended == "OK" else "info"
    getattr(log, level)("call ended", method=call.method, code=ended, ms=round(seconds * 1000, 1))


@asynccontextmanager
async def handling(call: Call, check: Check) -> AsyncIterator[None]:
    """All that happens around a call."""
    take_request_id(call)
    started = time.perf_counter()
    ended = "CANCELLED"  # what it is when neither an answer nor an error comes
    try:
        check(call)
        async with asyncio.timeout(remaining_seconds(call)):
            yield
        ended = "OK"
    except Exception as error:  # noqa: BLE001 (every error becomes a status)
        try:
            await abort(call, error)
        finally:
            ended = _aborted_as(call.context)
    finally:
        account(call, ended, time.perf_counter() - started)


if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
else:  # generic for the type checker only
    Handler = grpc.RpcMethodHandler


class Methods(grpc.GenericRpcHandler):
    """Finds the handler of a method, with `handling` around it.

    Generated code adds services to it as if it were the server. A server that knows each method for itself has a task
    wait for each, and every call looks at all of these; one that asks interceptors does so at every call. With a
    hundred methods either takes longer than many a call itself.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._handlers: dict[str, Handler] = {}

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Add the methods of a service."""
        for name, handler in handlers.items():
            method = f"/{service}/{name}"
            self._handlers[method] = _wrapped(handler, self._check, method)

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Nothing: these are the same methods once more."""

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """The handler of a method; None for one that there is not, which the library answers by itself."""
        return self._handlers.get(str(handler_call_details.method))


def _wrapped(handler: Handler, check: Check, method: str) -> Handler:
    streams = bool(handler.request_streaming or handler.response_streaming)
    inner: Any = (
        (handler.stream_stream or handler.unary_stream)
        if handler.response_streaming
        else (handler.stream_unary or handler.unary_unary)
    )

    def called(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Call:
        return Call(method, context, streams, aiter(request) if handler.request_streaming else None)

    async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        async with handling(called(request, context), check):
            return await inner(request, context)

    async def answers(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        async with handling(called(request, context), check):
            async for message in inner(request, context):
                yield message

    make: Any = getattr(
        grpc,
        f"{'stream' if handler.request_streaming else 'unary'}_"
        f"{'stream' if handler.response_streaming else 'unary'}_rpc_method_handler",
    )
    wrapped: Handler = make(
        answers if handler.response_streaming else answer,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
    return wrapped
