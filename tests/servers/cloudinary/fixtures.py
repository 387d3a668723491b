"""A cloud for each test, a backend over it, and what tests do with one."""

import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from PIL import Image

from services.storage.adapters.cloudinary.account import CloudinaryAccount
from services.storage.adapters.cloudinary.backend import CloudinaryBackend, cloudinary_backend
from services.storage.domain.model import BATCH_BYTES, CHUNK_BYTES, Draft, ObjectName, Span, StoredObject
from tests.servers.cloudinary.cloud import Cloud
from tests.servers.cloudinary.server import CloudinaryServer, cloudinary_server

UPLOAD = r"^/v1_1/\w+/raw/upload$"
LARGE = bytes(range(256)) * 51_000  # three parts
SMALL = b"0123456789" * 50
FOLDERS = {"projects": "freemind-ml-projects", "uploads": "datastory-uploads"}
PATIENT: dict[str, float] = {}
HASTY_CALLS = {"timeout": 0.4}
HASTY_UPLOADS = {"part_timeout": 0.5}


@pytest.fixture(name="running", scope="module")
def running_fixture() -> Iterator[CloudinaryServer]:
    with cloudinary_server() as server:
        yield server


@pytest.fixture(name="server")
def server_fixture(running: CloudinaryServer) -> CloudinaryServer:
    running.reset()
    return running


@pytest.fixture(name="cloud")
def cloud_fixture(server: CloudinaryServer) -> Cloud:
    return server.cloud()


@pytest.fixture(name="account")
def account_fixture(
    request: pytest.FixtureRequest, server: CloudinaryServer, cloud: Cloud, tmp_path: Path
) -> CloudinaryAccount:
    """Patient unless a test asks for haste: only who waits for a hanging call needs it, and others a slow machine."""
    return account_of(server, cloud, scratch=tmp_path, **getattr(request, "param", PATIENT))


@pytest.fixture(name="backend")
async def backend_fixture(account: CloudinaryAccount) -> AsyncIterator[CloudinaryBackend]:
    async with cloudinary_backend(account) as backend:
        yield backend


@pytest.fixture(name="gone")
def gone_fixture(cloud: Cloud, tmp_path: Path):
    """Whether nothing is left of a failed upload: no asset, no file."""
    return lambda: (list(cloud.assets), list(tmp_path.iterdir())) == ([], [])


def hasty(what: dict[str, float]) -> pytest.MarkDecorator:
    """A test in which Cloudinary hangs."""
    return pytest.mark.parametrize("account", [what], ids=["hasty"], indirect=True)


def account_of(server: CloudinaryServer, cloud: Cloud, **more) -> CloudinaryAccount:
    return CloudinaryAccount(
        cloud.name, cloud.key, cloud.secret, FOLDERS, upload_prefix=server.url, delivery=server.url, **more
    )


def draft(key: str = "a/iris.csv", placement: str = "models", **more) -> Draft:
    given = {"owner": "alice", "content_type": "text/csv", "file_name": "дом 1.csv", "request_id": "r"}
    return Draft(ObjectName(placement, key), **{**given, **more})


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def put(backend: CloudinaryBackend, data: bytes = SMALL, what: Draft | None = None) -> StoredObject:
    async with backend.create(what or draft()) as pending:
        for start in range(0, len(data), BATCH_BYTES):
            await pending.write([data[start : start + BATCH_BYTES]])
        return await pending.commit(len(data), sha256(data))


async def get(backend: CloudinaryBackend, name: ObjectName, span: Span | None = None) -> bytes:
    async with backend.open(name) as source:
        span = span or Span(0, source.stored.size)
        pieces = [piece async for batch in source.batches(span) for piece in batch]

    assert max(map(len, pieces), default=0) <= CHUNK_BYTES
    return b"".join(pieces)


def picture(form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, form)
    return file.getvalue()
