"""Runs a gRPC server from its first log line to its last."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer
from prometheus_client import start_http_server

from servicekit import errors
from servicekit.handling import Methods, authentication
from servicekit.logging import configure, get_logger
from servicekit.memory import reuse_chunks
from servicekit.settings import ServerSettings, Settings, SettingsWrong, read

log = get_logger()

PROBE_SECONDS = 2.0
PROBE_TIMEOUT_SECONDS = 5.0

OPTIONS = (
    # Without it two servers on one port share its connections, and nobody notices.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # A peer that the network has cut off does not hold its calls open for ever.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)

Probe = Callable[[], Awaitable[None]]
"""Succeeds when what it stands for works, raises otherwise."""


@dataclass(frozen=True)
class Service:
    """One gRPC service of a process."""

    full_name: str
    """For example modelyard.storage.v1.StorageService."""
    add: Callable[[Any, grpc.aio.Server], None]
    """The generated add_…_to_server."""
    servicer: object


@dataclass(frozen=True)
class Application:
    """What bootstrap puts together: the services of a process and what stands behind them."""

    services: Sequence[Service]
    probes: Mapping[str, Probe] = field(default_factory=dict)
    on_drain: Callable[[], None] = lambda: None
    """Called when the server begins to stop, to end streams that would go on for ever."""


Bootstrap = AbstractAsyncContextManager[Application]

AnySettings = TypeVar("AnySettings", bound=Settings)
AnyServerSettings = TypeVar("AnyServerSettings", bound=ServerSettings)


def prepare_process() -> None:
    """What comes before all else in a process: its files are its user's alone, and its memory stays flat."""
    os.umask(0o077)
    reuse_chunks()


def begin(name: str, kind: type[AnySettings]) -> AnySettings:
    """Prepare the process and its log. Its settings; or its end, with a line on each that is wrong."""
    prepare_process()
    try:
        settings = read(kind)
    except SettingsWrong as wrong:
        sys.exit(f"{name} cannot start:\n{wrong}")  # how to log is a setting, too
    configure(settings, name)
    return settings


def run(name: str, kind: type[AnyServerSettings], bootstrap: Callable[[AnyServerSettings], Bootstrap]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. The way into every service's __main__."""
    settings = begin(name, kind)
    try:
        uvloop.run(_serve(name, settings, bootstrap(settings)))
    except (errors.CannotStart, errors.Problem) as problem:
        log.error("cannot start", reason=str(problem))
        sys.exit(1)


async def _serve(name: str, settings: ServerSettings, bootstrap: Bootstrap) -> None:
    stopping = stop_signal(settings.exit_with_parent)
    async with AsyncExitStack() as stack:
        try:
            if settings.metrics_port:
                start_http_server(settings.metrics_port, addr=settings.bind.rpartition(":")[0])
            application = await stack.enter_async_context(bootstrap)
        except OSError as error:  # a folder that is none, a port that is taken
            raise errors.CannotStart(str(error)) from error
        server = await stack.enter_async_context(serving(application, settings.bind, settings))
        log.info("serving", service=name, address=server.address)
        await stopping.wait()
        log.info("draining", service=name)
    log.info("stopped", service=name)


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    address: str
    """Where it listens, with the port it really has."""


@asynccontextmanager
async def serving(application: Application, bind: str, settings: ServerSettings) -> AsyncIterator[Serving]:
    """Serve an application for the length of the block. Port 0 takes a free one."""
    server = grpc.aio.server(options=OPTIONS)
    health = HealthServicer()
    names = [service.full_name for service in application.services]
    methods = _methods(application, health, names, settings.service_token.get_secret_value())
    server.add_generic_rpc_handlers([methods])
    address = _listen(server, bind)
    await server.start()
    probing = asyncio.create_task(_keep_probing(health, ["", *names], application.probes))
    try:
        yield Serving(address)
    finally:
        probing.cancel()
        await health.enter_graceful_shutdown()
        application.on_drain()
        await server.stop(settings.drain_seconds)


def _methods(application: Application, health: HealthServicer, names: Sequence[str], token: str) -> Methods:
    """The methods of all services, and of those that every server has."""
    methods = Methods(authentication(token))
    as_server: Any = methods
    for service in application.services:
        service.add(service.servicer, as_server)
    health_pb2_grpc.add_HealthServicer_to_server(health, as_server)
    described = ReflectionServicer([*names, "grpc.health.v1.Health", reflection.SERVICE_NAME])
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(described, as_server)
    return methods


def _listen(server: grpc.aio.Server, bind: str) -> str:
    try:
        port = server.add_insecure_port(bind)
    except RuntimeError as error:
        raise errors.CannotStart(f"{bind} is in use or not ours to listen on; choose another address") from error
    return bind if bind.startswith("unix:") else f"{bind.rpartition(':')[0]}:{port}"


async def _keep_probing(health: HealthServicer, names: Sequence[str], probes: Mapping[str, Probe]) -> None:
    known: dict[str, str] = {}
    while True:
        failures = await failing(probes)
        if failures != known:
            log.warning("health changed", failing=failures)
            known = failures
        status = health_pb2.HealthCheckResponse.NOT_SERVING if failures else health_pb2.HealthCheckResponse.SERVING
        for name in names:
            await health.set(name, status)
        await asyncio.sleep(PROBE_SECONDS)


async def failing(probes: Mapping[str, Probe]) -> dict[str, str]:
    """Run every probe; which of them fail, and why."""
    reasons = await asyncio.gather(*(_reason(probe) for probe in probes.values()))
    return {name: reason for name, reason in zip(probes, reasons, strict=True) if reason}


async def _reason(probe: Probe) -> str:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            await probe()
    except Exception as error:  # noqa: BLE001 — whatever a probe raises is its answer
        return f"{type(error).__name__}: {error}"
    return ""


def stop_signal(with_parent: bool) -> asyncio.Event:
    """An event that is set by SIGTERM, by SIGINT and, when asked for, by the end of the parent process."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if with_parent:
        threading.Thread(target=_set_at_end_of_stdin, args=(loop, stopping), daemon=True).start()
    return stopping


def _set_at_end_of_stdin(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    while os.read(0, 1024):
        pass
    with contextlib.suppress(RuntimeError):  # the loop has ended first
        loop.call_soon_threadsafe(stopping.set)
