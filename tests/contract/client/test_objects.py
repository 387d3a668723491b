"""The object store of Python programs, against a real storage service, with an event loop and without."""

import asyncio
import inspect
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.upkeep.scanning import UNRECORDED
from modelyard import object_calls
from modelyard.errors import ModelyardError
from modelyard.object_calls import media_type
from modelyard.objects import AsyncObjectStore, ObjectStore
from servicekit.server import serving
from services.storage.adapters.local.backend import local_backend
from services.storage.bootstrap import compose
from services.storage.settings import StorageSettings

KEY = b"a signing key of a test, long enough"
CSV = b"a,b\n1,2\n" * 100_000
TOKEN = "a-token-of-a-test"

Made = Callable[..., Awaitable[Any]]


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    where = f"unix:{tmp_path}/s"
    settings = StorageSettings(bind=where, drain_seconds=0.5, service_token=TOKEN, _env_file=None)
    async with local_backend(tmp_path / "objects") as local:
        application = compose([local], KEY, timedelta(hours=1))
        async with serving(application, where, settings):
            yield where


@pytest.fixture(params=["sync", "async"])
async def make(request: pytest.FixtureRequest, address: str) -> AsyncIterator[Made]:
    """Makes a call of either store: by name, in a thread where it blocks."""
    if request.param == "async":
        async with AsyncObjectStore(address, TOKEN, "http://gate") as store:
            yield lambda name, *args, **more: getattr(store, name)(*args, **more)
        return
    blocking = ObjectStore(address, TOKEN, "http://gate")

    async def made(name: str, *args: Any, **more: Any) -> Any:
        def work() -> Any:
            found = getattr(blocking, name)
            return found(*args, **more) if callable(found) else found

        return await asyncio.to_thread(work)

    yield made
    blocking.close()


async def test_a_dataset_goes_in_comes_out_by_its_address_and_is_deleted(make: Made):
    """002.13, 002.2: upload gives an address, the address gives the bytes, deleting counts."""
    url = await make("upload_dataset", "ada", "d 1", CSV, "täble 1.csv")
    again = await make("upload_dataset", "ada", "d 1", CSV, "täble 1.csv")
    await make("upload_dataset", "ada", "d 1", b"x", "more.csv")
    received = await make("download_dataset", url)
    deleted = await make("delete_dataset", "ada", "d 1")

    assert await make("is_configured") is True
    assert url == again
    assert url.startswith("local://datasets/ada/")
    assert received == CSV
    assert deleted == 2
    assert await make("delete_dataset", "ada", "d 1") == 0


async def test_other_bytes_of_the_same_dataset_do_not_replace_the_first(make: Made):
    await make("upload_dataset", "ada", "d1", CSV, "a.csv")
    with pytest.raises(ModelyardError) as refused:
        await make("upload_dataset", "ada", "d1", b"others", "a.csv")

    assert refused.value.code == "OBJECT_EXISTS"


async def test_an_address_of_nothing_is_told_so(make: Made):
    with pytest.raises(ModelyardError) as missing:
        await make("download_dataset", "https://x.blob.core.windows.net/datasets/ada/d1/a.csv")

    assert missing.value.code == "OBJECT_NOT_FOUND"


async def test_a_file_has_a_public_id_a_secure_url_and_a_media_type(make: Made):
    """003.6, 003.8."""
    stored = await make("upload_file", CSV, "data.csv", folder="datastory-uploads/ada", tags=["csv", "user-upload"])
    known = await make("file_metadata", stored.public_id)
    url = await make("secure_url", stored.public_id, 60)

    assert stored.public_id.startswith("uploads/ada/")
    assert stored.public_id.endswith("-data.csv")
    assert stored.secure_url.startswith("http://gate/files/")
    assert url.startswith("http://gate/files/")
    assert (known.content_type, known.size, known.tags) == ("text/csv", len(CSV), ("csv", "user-upload"))
    assert await make("download_file", stored.public_id) == CSV
    assert await make("file_exists", stored.public_id) is True
    assert await make("delete_file", stored.public_id) is True
    assert await make("delete_file", stored.public_id) is False
    assert await make("file_exists", stored.public_id) is False


async def test_keys_do_not_collide_though_names_and_moments_do(make: Made):
    """003.6: `uploads/{user}/{time}-{file}`."""
    keys = {await make("generate_upload_key", "ada", "../../etc/passwd") for _ in range(50)}
    stored = await make("upload_file", b"x", "a.txt", user_id="ada", public_id=keys.copy().pop())

    assert len(keys) == 50
    assert all(key.startswith("uploads/ada/") and key.count("/") == 2 for key in keys)
    assert stored.public_id in keys


async def test_a_file_is_streamed_from_the_disk_and_to_it(make: Made, tmp_path: Path):
    source = tmp_path / "in.csv"
    source.write_bytes(CSV)
    stored = await make("upload_file", source, "in.csv", user_id="ada")
    saved = await make("save_file", stored.public_id, tmp_path / "out" / "out.csv")

    assert saved.read_bytes() == CSV
    assert [path.name for path in saved.parent.iterdir()] == ["out.csv"]


async def test_a_file_that_is_not_there_leaves_nothing_on_either_side(make: Made, tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        await make("upload_file", tmp_path / "absent", "a.txt", user_id="ada")
    with pytest.raises(ModelyardError):
        await make("save_file", f"uploads/ada/{uuid.uuid4().hex}", tmp_path / "out" / "a.txt")

    assert list((tmp_path / "out").iterdir()) == []


async def test_project_storage_is_counted_by_user(make: Made):
    """000.31."""
    for user, data in (("ada", b"12"), ("ada", b"345"), ("bob", b"6")):
        await make("upload_file", data, "p.zip", user_id=user, public_id=f"projects/{user}/{uuid.uuid4().hex}.zip")
    everybody, one = await make("project_storage_stats"), await make("project_storage_stats", "ada")

    assert (everybody.count, everybody.size) == (3, 6)
    assert (everybody.users["ada"].size, everybody.users["bob"].count) == (5, 1)
    assert (one.count, one.size) == (2, 5)


@pytest.mark.parametrize(("there", "token", "code"), [(True, "wrong", "CALLER_UNKNOWN"), (False, "", "UNREACHABLE")])
async def test_what_goes_wrong_has_a_code_and_a_sentence(address: str, there: bool, token: str, code: str):
    async with AsyncObjectStore(address if there else "127.0.0.1:1", token) as store:
        with pytest.raises(ModelyardError) as problem:
            await store.file_exists("uploads/ada/x")

    assert problem.value.code == code
    assert len(problem.value.message.split()) > 5


def test_both_stores_have_the_same_calls():
    def calls(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}

    assert calls(ObjectStore) == calls(AsyncObjectStore)


def test_what_is_stored_so_says_that_it_has_no_record():
    """The scan of the gateway, which deletes orphans, knows it by the same word."""
    assert set(object_calls.UNRECORDED) == {UNRECORDED}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", "text/csv"),
        ("a.CSV", "text/csv"),
        ("model.zip", "application/zip"),
        ("a.csv.gz", "application/gzip"),
        ("sheet.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("poster.png", "image/png"),
        ("poster.webp", "image/webp"),
        ("a.json", "application/json"),
        ("README", "application/octet-stream"),
    ],
)
def test_media_types_go_by_the_name(name: str, kind: str):
    """003.8."""
    assert media_type(name) == kind
