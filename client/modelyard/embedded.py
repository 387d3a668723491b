"""The metadata service within this process, for programs that open a database themselves.

This is the one place of the client that knows a service, and only once somebody asks for a database: the service is
served on a socket that nobody else can reach, so that everything above it is the same as over the wire.
"""

import asyncio
import logging
import sys
import tempfile
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import structlog
from pydantic import ValidationError

from modelyard.errors import ModelyardError
from servicekit import errors, statuses
from servicekit.channels import Channel
from servicekit.logging import configure
from servicekit.server import Application, serving
from servicekit.settings import ServerSettings

Bootstrap = Callable[[Any], AbstractAsyncContextManager[Application]]
Settings = Callable[..., ServerSettings]

SOCKET = "metadata"
DRAIN_SECONDS = 5
IMPORTING = "modelyard.metadata.v1.AdminService/ImportRecords"
"""Its messages cannot be sent a second time."""
STATEMENTS = "sqlalchemy.engine"
MISSING = (
    "To open a database in this process, the metadata service must be installed with it: "
    "pip install 'modelyard[metadata]'. What is missing is {name}."
)


@asynccontextmanager
async def served(url: str, pool: Mapping[str, Any], echo: bool = False) -> AsyncIterator[str]:
    """The address of a metadata service over a database, for the length of the block.

    Fails with a ModelyardError that says why a database cannot be opened, and no password.
    """
    make, settings_class = _service()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-"))  # its user's alone
        settings = _settings(settings_class, url=url, bind=f"unix:{folder}/{SOCKET}", **pool)
        _quieten(settings)
        if echo:
            stack.enter_context(_telling_statements())
        application = await _begun(stack, make(settings))
        await stack.enter_async_context(serving(application, settings.bind, settings))
        yield settings.bind


@asynccontextmanager
async def embedded_channel(url: str) -> AsyncIterator[Channel]:
    """A channel to a metadata service over a database, for the length of the block. Errors as `served`."""
    async with served(url, {}) as address:
        channel = Channel(address, once=[IMPORTING])
        try:
            yield channel
        finally:
            await channel.close()


def _service() -> tuple[Bootstrap, Settings]:
    """What makes a metadata service, and its settings."""
    try:
        from services.metadata.bootstrap import bootstrap
        from services.metadata.settings import MetadataSettings
    except ImportError as error:
        raise _not_installed(error) from error
    return bootstrap, MetadataSettings


def _settings(kind: Settings, **given: Any) -> ServerSettings:
    try:
        # Nobody else can reach the socket, so nobody has to say who they are.
        return kind(drain_seconds=DRAIN_SECONDS, log_level="warning", service_token="", _env_file=None, **given)
    except ValidationError as error:
        said = error.errors()[0]
        message = f"{'.'.join(map(str, said['loc']))}: {said['msg'].removeprefix('Value error, ')}."
        raise ModelyardError(0, "INVALID_DATABASE", message) from None


async def _begun(stack: AsyncExitStack, opening: AbstractAsyncContextManager[Application]) -> Application:
    try:
        return await stack.enter_async_context(opening)
    except ImportError as error:
        raise _not_installed(error) from error
    except errors.Problem as problem:
        raise ModelyardError(0, problem.reason, problem.message, statuses.may_pass(problem)) from None


def _not_installed(error: ImportError) -> ModelyardError:
    return ModelyardError(0, "NOT_INSTALLED", MISSING.format(name=error.name or error))


def _quieten(settings: ServerSettings) -> None:
    """Say only what is wrong, where the program has not decided otherwise."""
    if not structlog.is_configured():
        configure(settings, "registry")


@contextmanager
def _telling_statements() -> Iterator[None]:
    """Every SQL statement to standard error, for the length of the block."""
    logger, handler = logging.getLogger(STATEMENTS), logging.StreamHandler(sys.stderr)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class Background:
    """A served database in a thread of its own, for programs without an event loop."""

    def __init__(self, url: str, pool: Mapping[str, Any], echo: bool = False) -> None:
        self._ready: Future[str] = Future()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        work = _serve(self._ready, self._stop, url, pool, echo)
        self._thread = threading.Thread(target=_run, args=(self._loop, work), name="modelyard-registry", daemon=True)
        self._thread.start()
        # Who never closes it is forgotten, or is a program that ends: what was begun is carried to its end then.
        self._close = weakref.finalize(self, _close, self._loop, self._stop, self._thread)
        try:
            self.address = self._ready.result()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let what runs come to its end, and close the database."""
        self._close()


def _run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(work)


async def _serve(ready: "Future[str]", stop: asyncio.Event, url: str, pool: Mapping[str, Any], echo: bool) -> None:
    try:
        async with served(url, pool, echo) as address:
            ready.set_result(address)
            await stop.wait()
    except Exception as error:
        if ready.done():
            raise
        ready.set_exception(error)


def _close(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, thread: threading.Thread) -> None:
    if thread.is_alive() and not loop.is_closed() and threading.current_thread() is not thread:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
