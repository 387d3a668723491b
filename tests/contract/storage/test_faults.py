"""A cloud that fails, a full disk, a killed process: what each leaves behind, and what policy makes of it.

The service is the one that its settings make; between it and the real servers stands a proxy that breaks things.
"""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from azure.storage.blob import BlobServiceClient

from modelyard.storage.v1 import storage_pb2 as pb
from servicekit.server import serving
from services.storage.bootstrap import bootstrap
from services.storage.settings import StorageSettings
from tests.contract.storage.conftest import Store
from tests.servers.faults import Faults, faulty

MIB = 1024 * 1024
DATA = os.urandom(9 * MIB)
LONGEST_SECONDS = 25
MOST_REQUESTS = 40
TARGETS = {"azure": ("datasets", "models"), "cloudinary": ("posters", "projects")}

FAULTS: dict[str, Callable[[Faults], None]] = {
    "refused": lambda proxy: proxy.refuse(),
    "slow and then gone": lambda proxy: (proxy.delay(0.5, times=1), proxy.cut_answer(0)),
    "cut while it sends": lambda proxy: proxy.cut_body(100_000),
    "cut before it answers": lambda proxy: proxy.cut_answer(0),
    "asks for fewer calls": lambda proxy: proxy.answer(429),
    "fails inside": lambda proxy: proxy.answer(500),
    "is overloaded": lambda proxy: proxy.answer(503),
    "does not know us": lambda proxy: proxy.answer(401),
}


@dataclass
class Site:
    """A cloud behind a proxy, and how the service is told of it."""

    name: str
    proxy: Faults
    settings: dict[str, str]
    objects: Callable[[], list[str]]
    """What anybody who looks there sees."""


@pytest.fixture(scope="module")
def azure_proxy(azurite_server) -> Iterator[Faults]:
    with faulty(azurite_server.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def cloudinary_proxy(cloudinary_server) -> Iterator[Faults]:
    with faulty(cloudinary_server.url) as proxy:
        yield proxy


@pytest.fixture
def azure(azurite_server, azure_proxy: Faults) -> Iterator[Site]:
    mark = uuid.uuid4().hex[:8]
    settings = {
        "azure_connection_string": azurite_server.through(azure_proxy.url),
        "azure_datasets_container": f"datasets-{mark}",
        "azure_models_container": f"models-{mark}",
    }

    def blobs() -> list[str]:
        with BlobServiceClient.from_connection_string(azurite_server.connection_string) as service:
            mine = [each.name for each in service.list_containers() if each.name.endswith(mark)]
            return [blob.name for name in mine for blob in service.get_container_client(name).list_blobs()]

    yield Site("azure", azure_proxy, settings, blobs)
    azure_proxy.heal()


@pytest.fixture
def cloudinary(cloudinary_server, cloudinary_proxy: Faults) -> Iterator[Site]:
    cloud = cloudinary_server.cloud()
    settings = {
        "cloudinary_cloud_name": cloud.name,
        "cloudinary_api_key": cloud.key,
        "cloudinary_api_secret": cloud.secret,
        "cloudinary_upload_prefix": cloudinary_proxy.url,
        "cloudinary_delivery_url": f"{cloudinary_proxy.url}",
    }
    yield Site("cloudinary", cloudinary_proxy, settings, lambda: [str(key) for key in cloud.assets])
    cloudinary_proxy.heal()


@pytest.fixture(params=["azure", "cloudinary"])
def site(request: pytest.FixtureRequest) -> Site:
    return request.getfixturevalue(request.param)


@pytest.fixture
def served(root: Path, socket: str):
    """The service as settings make it."""

    @asynccontextmanager
    async def served(site: Site, **more):
        settings = StorageSettings(root=root, bind=socket, drain_seconds=0.5, _env_file=None, **site.settings, **more)
        async with bootstrap(settings) as application, serving(application, socket, settings) as server:
            store = Store(server.address)
            yield store
            await store.close()

    return served


def upload(store: Store, placement: str, key: str = "u/a.zip"):
    return store.put(key, DATA, placement=placement, owner="u")


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_home_that_fails_fails_the_upload_and_nothing_is_left_anywhere(
    site: Site, served, refused, leftovers, published, fault: str
):
    """002.16, 001.11: no fall-back; within a bounded time, after a bounded number of calls, with a helpful sentence."""
    async with served(site) as store:
        await upload(store, TARGETS[site.name][0], "u/before.zip")
        site.proxy.forget()
        FAULTS[fault](site.proxy)
        async with asyncio.timeout(LONGEST_SECONDS):
            with refused(grpc.StatusCode.UNAVAILABLE) as caught:
                await upload(store, TARGETS[site.name][0])
        seen = site.proxy.seen()
        site.proxy.heal()
        listed = await store.page(placement=TARGETS[site.name][0])

        assert site.name in caught.value.details()
        assert seen <= MOST_REQUESTS
        assert [found.key for found in listed.objects] == ["u/before.zip"]
        await upload(store, TARGETS[site.name][0])  # what failed has left nothing in the way
    assert (leftovers(), published()) == ([], [])
    assert len(site.objects()) == 2


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_home_that_fails_is_stood_in_for_where_policy_says_so(cloudinary: Site, served, leftovers, fault: str):
    """000.18: the upload succeeds, says what happened, and the object is brought home when home is back."""
    async with served(cloudinary) as store:
        FAULTS[fault](cloudinary.proxy)
        async with asyncio.timeout(LONGEST_SECONDS):
            stored = await upload(store, "projects")
        cloudinary.proxy.heal()
        brought = await store.stub.ReplicateObjects(pb.ReplicateObjectsRequest(placement="projects"), **store.within)
        [home] = brought.objects

        assert (stored.backend, stored.fallback) == ("local", True)
        assert [failure.backend for failure in stored.failures] == ["cloudinary"]
        assert (home.backend, home.fallback, home.sha256) == ("cloudinary", False, stored.sha256)
        assert [copy.backend for copy in home.copies] == ["cloudinary", "local"]
    assert leftovers() == []
    assert len(cloudinary.objects()) == 1


async def test_what_comes_by_ticket_lacks_its_local_copy_until_it_is_replicated(
    cloudinary: Site, served, send_by_ticket
):
    """The bytes did not pass through this service; the copy that policy wants is made later, like any that lacks."""
    async with served(cloudinary) as store:
        header = store.header("u/a.zip", placement="projects", owner="u").header
        ticket = await store.stub.SignUpload(pb.SignUploadRequest(header=header), **store.within)
        await send_by_ticket(store, ticket, DATA)
        completed = pb.CompleteUploadRequest(token=ticket.token, trailer=pb.UploadTrailer(size=len(DATA)))
        stored = await store.stub.CompleteUpload(completed, **store.within)
        done = await store.stub.ReplicateObjects(pb.ReplicateObjectsRequest(placement="projects"), **store.within)

        assert [copy.backend for copy in stored.copies] == ["cloudinary"]
        assert [[copy.backend for copy in found.copies] for found in done.objects] == [["cloudinary", "local"]]


async def test_an_upload_goes_through_when_a_cloud_stumbles(site: Site, served):
    """One answer lost, one refused, one slow: repeated, and still one object."""
    async with served(site) as store:
        site.proxy.answer(503, times=1)
        site.proxy.cut_answer(0, times=1)
        site.proxy.delay(0.3, times=1)
        stored = await upload(store, TARGETS[site.name][0])
        data = await store.read(pb.DownloadRequest(name=store.name("u/a.zip", TARGETS[site.name][0])))

        assert (stored.backend, stored.size, data[1] == DATA) == (site.name, len(DATA), True)
    assert len(site.objects()) == 1


async def test_a_download_that_a_cloud_cuts_is_never_short(site: Site, served):
    placement = TARGETS[site.name][0]
    async with served(site) as store:
        await upload(store, placement)
        site.proxy.cut_answer(3 * MIB, when=lambda request: request.method == "GET")
        request = pb.DownloadRequest(name=store.name("u/a.zip", placement))
        try:
            read = (await store.read(request))[1]
        except grpc.aio.AioRpcError as error:
            read, code = None, error.code()

        assert read == DATA or (read is None and code is grpc.StatusCode.UNAVAILABLE)


class TestProcess:
    """The service as a process that is killed, or whose disk is full."""

    @pytest.fixture
    def start(self, root: Path, socket: str):
        processes: list[subprocess.Popen] = []

        def start(site: Site | None, *before: str) -> subprocess.Popen:
            told = {} if site is None else {_variable(name): value for name, value in site.settings.items()}
            environment = os.environ | {"STORAGE_ROOT": str(root), "STORAGE_BIND": socket} | told
            command = [*before, sys.executable, "-m", "services.storage"]
            processes.append(subprocess.Popen(command, env=environment))
            return processes[-1]

        yield start
        for process in processes:
            process.kill()
            process.wait()

    @pytest.fixture
    async def client(self, connect, socket: str):
        store = connect(socket)
        yield store
        await store.close()

    @pytest.mark.parametrize("moment", ["while bytes come", "while it publishes"])
    async def test_a_kill_in_the_middle_leaves_no_object_and_no_file(
        self, site: Site, start, client, root, leftovers, published, moment
    ):
        placement = TARGETS[site.name][0]
        process = start(site)
        await ready(client)
        if moment == "while it publishes":
            site.proxy.delay(60, when=lambda request: request.method in {"PUT", "POST"})
        call = client.stub.Upload(timeout=60)
        await call.write(client.header("u/a.zip", placement=placement, owner="u", request_id="one"))
        for chunk in client.chunks(DATA):
            await call.write(chunk)
        if moment == "while it publishes":
            await call.write(client.trailer(DATA))
        await asyncio.sleep(0.7)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        site.proxy.refuse()  # what is held back does not get there later
        site.proxy.heal()
        start(site)
        await ready(client)

        assert site.objects() == []
        assert (leftovers(), published()) == ([], [])
        assert (await client.put("u/a.zip", DATA, placement=placement, request_id="one")).size == len(DATA)

    async def test_a_full_disk_keeps_nothing_and_says_so(self, start, client, root, refused):
        """A small disk of its own: the upload that does not fit leaves all of its space free again."""
        root.mkdir()
        within = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
        mount = f"mount -t tmpfs -o size=12m tmpfs '{root}' && exec \"$@\""
        process = start(None, *within, "sh", "-c", mount, "sh")
        await ready(client)
        await client.put("kept", b"x" * 4 * MIB)
        incoming = Path(f"/proc/{process.pid}/root{root}/.incoming")
        for _ in range(3):
            with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
                await client.put("a", DATA)

            # There for an instant: the file by which health is probed.
            assert [path for path in incoming.iterdir() if not path.name.startswith("probe-")] == []
        assert await client.keys() == ["kept"]
        assert (await client.put("b", b"x" * 4 * MIB)).size == 4 * MIB


async def ready(client: Store) -> None:
    await client.stub.ListPlacements(pb.ListPlacementsRequest(), wait_for_ready=True, timeout=60)


def _variable(setting: str) -> str:
    names = {"azure_connection_string": "AZURE_STORAGE_CONNECTION_STRING"}
    return names.get(setting, setting.upper())
