"""A Cloudinary of our own on a loopback port: upload API, admin API and delivery, strict, and failing on demand."""

import asyncio
import contextlib
import re
import secrets
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from aiohttp import web

from tests.servers.cloudinary import admin, delivery, uploads
from tests.servers.cloudinary.cloud import Cloud
from tests.servers.cloudinary.faults import Fault, Faults
from tests.servers.cloudinary.rules import Refused

CloudHandler = Callable[[web.Request, Cloud], Awaitable[web.StreamResponse]]


class CloudinaryServer:
    """Runs in a thread with a loop of its own. Any number of clouds, each alone with its assets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clouds: dict[str, Cloud] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cloudinary", daemon=True)
        self.faults = Faults()
        self._port = 0
        self._runner: web.AppRunner
        self._site: web.TCPSite

    @property
    def url(self) -> str:
        """Where both its APIs and its delivery are."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._thread.start()
        self._run(self._start())

    def stop(self) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cloud(self, **limits: int) -> Cloud:
        """A new, empty cloud. Limits in bytes: quota, max_raw, max_image."""
        name = f"cloud{len(self._clouds)}{secrets.token_hex(3)}"
        folder = self._folder / name
        folder.mkdir()
        key = str(secrets.randbelow(9 * 10**14) + 10**14)
        cloud = Cloud(name, key, secrets.token_urlsafe(20), folder, f"{self.url}/{name}", **limits)
        self._clouds[name] = cloud
        return cloud

    # -- failures on demand, for the next requests whose path a pattern finds --

    def fail(self, status: int, times: int = 1, path: str = "") -> None:
        """Answer with an error; 502 with a page of HTML."""
        self.faults.add(Fault("status", times, path, status=status))

    def hang(self, times: int = 1, path: str = "") -> None:
        """Never answer."""
        self.faults.add(Fault("hang", times, path))

    def go_well(self, times: int = 1, path: str = "") -> None:
        """Answer as ever; failures that were asked for later meet the requests after these."""
        self.faults.add(Fault("go_well", times, path))

    @contextlib.contextmanager
    def holding(self, path: str = "") -> Iterator[None]:
        """Do what the next request asks at once, and answer it when the block ends."""
        fault = Fault("hold", 1, path)
        self.faults.add(fault)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(fault.go_on.set)

    def cut_request(self, after: int, times: int = 1, path: str = "") -> None:
        """Break the connection after so many bytes of the request's body; nothing is done."""
        self.faults.add(Fault("cut_request", times, path, after=after))

    def cut_answer(self, after: int = 0, times: int = 1, path: str = "") -> None:
        """Do what is asked, then break the connection after so many bytes of the answer's body."""
        self.faults.add(Fault("cut_answer", times, path, after=after))

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody listens, for the length of the block."""
        self._run(self._close())
        try:
            yield
        finally:
            self._run(self._listen())

    def reset(self) -> None:
        """No failures, nothing seen."""
        self.faults.clear()

    def seen(self, path: str = "") -> int:
        """How many requests came in whose path a pattern is found."""
        return sum(re.search(path, seen) is not None for _, seen in self.faults.seen)

    def _run(self, work) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _start(self) -> None:
        application = web.Application(middlewares=[self._middleware])
        self._route(application)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await self._listen()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        await self._site.stop()
        assert self._runner.server is not None
        await self._runner.server.shutdown(0.1)

    async def _stop(self) -> None:
        self.faults.stopping.set()
        await self._runner.cleanup()

    @web.middleware
    async def _middleware(self, request: web.Request, handler) -> web.StreamResponse:
        try:
            return await self.faults.answer(request, handler)
        except Refused as refused:
            error = {"error": {"message": refused.message}}
            headers = {"x-cld-error": refused.message.encode("ascii", "replace").decode()}
            return web.json_response(error, status=refused.status, headers=headers)

    def _route(self, application: web.Application) -> None:
        resources = "/v1_1/{cloud}/resources"
        routes: list[tuple[str, str, CloudHandler]] = [
            ("GET", "/v1_1/{cloud}/ping", admin.ping),
            ("GET", "/v1_1/{cloud}/usage", admin.usage),
            ("POST", f"{resources}/search", admin.search),
            ("GET", resources + "/{resource_type}", admin.resources),
            ("GET", resources + "/{resource_type}/tags/{tag}", admin.resources),
            ("GET", resources + "/{resource_type}/{type}", admin.resources),
            ("DELETE", resources + "/{resource_type}/{type}", admin.delete),
            ("GET", resources + "/{resource_type}/{type}/{public_id:.+}", admin.resource),
            ("PUT", resources + "/{resource_type}/{type}/{public_id:.+}", admin.resource),
            ("POST", resources + "/{resource_type}/{type}/{public_id:.+}", admin.resource),
            ("GET", "/v1_1/{cloud}/{resource_type}/download", delivery.download),
            ("POST", "/v1_1/{cloud}/{resource_type}/{action}", uploads.called),
            ("GET", "/{cloud}/{resource_type}/{type}/{rest:.+}", delivery.deliver),
        ]
        for method, path, handler in routes:
            application.router.add_route(method, path, self._within(handler))

    def _within(self, handler: CloudHandler):
        async def handle(request: web.Request) -> web.StreamResponse:
            cloud = self._clouds.get(request.match_info["cloud"])
            if cloud is None:
                raise Refused(401, f"Invalid cloud_name {request.match_info['cloud']}")
            return await handler(request, cloud)

        return handle


@contextlib.contextmanager
def cloudinary_server() -> Iterator[CloudinaryServer]:
    """A server for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="cloudinary-") as folder:
        server = CloudinaryServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
