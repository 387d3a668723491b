"""Calls to Cloudinary: the SDK's in threads, each with a deadline, repeated while that may help."""

import asyncio
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import Any, cast

import httpx
from cloudinary import uploader
from cloudinary.api_client import call_api
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from services.storage.adapters.cloudinary.account import CONNECT_SECONDS, CloudinaryAccount
from services.storage.adapters.cloudinary.errors import RequestRejected, cloud_errors, not_delivered
from services.storage.domain.errors import BackendBusy, BackendUnreachable
from services.storage.domain.model import CHUNK_BYTES

THREADS = 16
HEAVY_CALLS = 3
"""Calls at once that carry a whole part; each holds it three times in memory."""
ATTEMPTS = 3
SPARE_SECONDS = 10.0
"""What a call may wait for a thread, over the time that its sockets allow."""

Answer = dict[str, Any]


@cache
def _trusted() -> ssl.SSLContext:
    """Whom to trust; reading it takes time, so it is read once."""
    return httpx.create_ssl_context()


def passing(error: BaseException) -> bool:
    """Whether a repeat may help."""
    return isinstance(error, BackendUnreachable | BackendBusy) and not isinstance(error, RequestRejected)


def repeats() -> AsyncRetrying:
    """A few attempts with growing pauses, each of random length, so that many callers do not come back at once."""
    return AsyncRetrying(
        retry=retry_if_exception(passing),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        reraise=True,
    )


async def pause(failures: int) -> None:
    """Wait before a repeat that is not counted by repeats()."""
    await asyncio.sleep(random.uniform(0, 0.1 * 2**failures))  # noqa: S311 — spreads load, guards nothing


class Client:
    """Speaks to one account."""

    def __init__(self, account: CloudinaryAccount) -> None:
        self.account = account
        self.heavy = asyncio.Semaphore(HEAVY_CALLS)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="cloudinary")
        self._network = httpx.AsyncHTTPTransport(verify=_trusted(), limits=httpx.Limits(max_connections=2 * THREADS))
        self._unfinished: set[asyncio.Task[None]] = set()

    async def call(self, work: Callable[..., Any], *given: Any, **options: Any) -> Answer:
        """Call a function of the SDK, again while that may help. It must be safe to repeat."""
        async for attempt in repeats():
            with attempt:
                return await self.once(work, *given, **options)
        raise AssertionError  # pragma: no cover — the last attempt raises

    async def once(self, work: Callable[..., Any], *given: Any, **options: Any) -> Answer:
        """Call a function of the SDK. Fails with Absent, Taken, and the domain's errors of a backend."""
        return await self.within(self.account.timeout, self.start(work, *given, **options))

    def start(self, work: Callable[..., Any], *given: Any, **options: Any) -> asyncio.Future[Answer]:
        """Call a function of the SDK, and do not wait for it."""

        def told() -> Answer:
            with cloud_errors(self.account.name):
                return dict(work(*given, **{**self.account.options, **options}))

        return asyncio.get_running_loop().run_in_executor(self._threads, told)

    async def within(self, seconds: float, running: asyncio.Future[Answer]) -> Answer:
        """Wait for a call, but not for ever: its sockets have their own limits, and threads may be short."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS + seconds + SPARE_SECONDS):
                return await running
        except TimeoutError:
            raise BackendUnreachable(backend=self.account.name, why="it did not answer in time") from None

    @asynccontextmanager
    async def fetched(self, address: str, start: int, stop: int | None) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """The bytes at a delivery address: some, or all where no stop is given.

        The transport is used without httpx's client, which would log the address, and it may hold a signature.
        """
        headers = {"Accept-Encoding": "identity"}
        if stop is not None:
            headers["Range"] = f"bytes={start}-{stop - 1}"
        with cloud_errors(self.account.name):
            response = await self._network.handle_async_request(self._request(address, headers))
            try:
                if response.status_code != (200 if stop is None else 206):
                    raise not_delivered(response.status_code, self.account.name)
                async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_raw(CHUNK_BYTES))) as pieces:
                    yield pieces
            finally:
                await response.aclose()

    def _request(self, address: str, headers: dict[str, str]) -> httpx.Request:
        timeout = httpx.Timeout(self.account.timeout, connect=CONNECT_SECONDS)
        request = httpx.Request("GET", address, headers=headers, extensions={"timeout": timeout.as_dict()})
        request.headers.setdefault("Host", request.url.netloc.decode())
        return request

    def later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that is finished even when its caller is gone; the end of the client waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    async def close(self) -> None:
        """Finish what is under way, within the time that a call may take."""
        if self._unfinished:
            await asyncio.wait(self._unfinished, timeout=self.account.timeout)
        await self._network.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)


def prepare_sdk() -> None:
    """Let the SDK's connection pools hold a connection a thread, and never repeat a call by themselves.

    As they come they keep one, and repeat a read four times without a pause, inside each of our attempts.
    """
    for pool in (uploader._http, call_api._http):
        pool.connection_pool_kw.update(maxsize=THREADS, retries=False)
