"""The local backend when its disk, or what lies on it, is not as it should be."""

import hashlib
from io import FileIO
from pathlib import Path

import pytest

from services.storage.adapters.local import pending
from services.storage.adapters.local.backend import LocalBackend, local_backend
from services.storage.adapters.local.signing_key import KeyDamaged, signing_key
from services.storage.domain.catalog import Catalog
from services.storage.domain.downloads import Downloads
from services.storage.domain.errors import BackendFull, BackendUnreachable, ObjectDamaged, ObjectNotFound
from services.storage.domain.model import Draft, ObjectName
from services.storage.domain.placements import PLACEMENTS
from services.storage.domain.shelves import Shelves

NAME = ObjectName("models", "a/b")
DATA = b"0123456789" * 100_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
async def backend(root: Path):
    async with local_backend(root) as backend:
        yield backend


async def put(backend: LocalBackend, data: bytes = DATA) -> None:
    async with backend.create(Draft(NAME, "", "text/plain", "b", "r")) as pending:
        await pending.write([data])
        await pending.commit(len(data), hashlib.sha256(data).hexdigest())


async def read(backend: LocalBackend) -> bytes:
    downloads = Downloads(Shelves(PLACEMENTS, {"local": backend}))
    async with downloads.open(NAME, 0, 0) as download:
        return b"".join([chunk async for chunk in download.chunks()])


class FullDevice(FileIO):
    """A file on a device that really answers that there is no space left."""

    def __init__(self, path: Path, mode: str) -> None:
        path.touch()
        super().__init__("/dev/full", "wb")


async def test_a_full_disk_is_said_to_be_full_and_keeps_nothing(backend, root, monkeypatch):
    monkeypatch.setattr(pending, "FileIO", FullDevice)

    with pytest.raises(BackendFull):
        await put(backend)
    assert list((root / ".incoming").iterdir()) == []
    assert await backend.page("models", "", "", 10) == []


async def test_a_flipped_bit_is_found_by_a_whole_read(backend, root):
    await put(backend)
    file = root / "models" / "a" / "b@" / "b"
    file.write_bytes(DATA[:500] + b"!" + DATA[501:])

    with pytest.raises(ObjectDamaged):
        await read(backend)


async def test_a_file_that_became_shorter_is_found_at_once(backend, root):
    await put(backend)
    (root / "models" / "a" / "b@" / "b").write_bytes(DATA[:-1])

    with pytest.raises(ObjectDamaged):
        await read(backend)


@pytest.mark.parametrize("record", [b"", b"{}", b"[]", b'{"placement": "models", "key": "a/b"}'])
async def test_an_object_with_a_damaged_record_is_told_of_and_can_be_deleted(backend, root, record):
    await put(backend)
    (root / "models" / "a" / "b@" / "@object.json").write_bytes(record)

    with pytest.raises(ObjectDamaged):
        await backend.stat(NAME)
    with pytest.raises(ObjectDamaged):
        await read(backend)
    assert await backend.delete(NAME) == len(DATA)
    with pytest.raises(ObjectNotFound):
        await backend.stat(NAME)


async def test_the_record_of_another_key_is_not_taken_for_ones_own(backend, root):
    """A file system that is blind to case would find "A" under "a"."""
    await put(backend)
    (root / "models" / "a").rename(root / "models" / "A")

    with pytest.raises(ObjectNotFound):
        await backend.stat(ObjectName("models", "A/b"))
    with pytest.raises(ObjectNotFound):
        await backend.delete(ObjectName("models", "A/b"))


async def test_files_that_are_not_ours_are_passed_over(backend, root):
    await put(backend)
    (root / "models" / ".DS_Store").write_bytes(b"")
    (root / "models" / "lost%zz@").mkdir()
    (root / "models" / "@").mkdir()

    assert [stored.name for stored in await backend.page("models", "", "", 10)] == [NAME]


async def test_a_backend_whose_folder_is_gone_says_so_without_its_path(backend, root):
    for path in (root / ".incoming", root / ".lock"):
        path.rename(root.parent / path.name)
    root.rmdir()

    with pytest.raises(BackendUnreachable) as caught:
        await backend.probe()
    assert str(root) not in caught.value.message
    [status] = await Catalog(Shelves(PLACEMENTS, {"local": backend})).backends()
    assert (status.reachable, status.reason) == (False, caught.value.message)


async def test_a_folder_has_one_process(backend, root):
    with pytest.raises(BackendUnreachable):
        async with local_backend(root):
            pass


async def test_the_start_sweeps_what_a_killed_process_left(root):
    (root / ".incoming" / "half").mkdir(parents=True)
    (root / ".incoming" / "half" / "b").write_bytes(DATA)
    (root / ".incoming" / "probe").write_bytes(b"")

    async with local_backend(root):
        assert list((root / ".incoming").iterdir()) == []


async def test_the_signing_key_is_made_once(backend, root):
    key = signing_key(root)

    assert len(key) == 32
    assert signing_key(root) == key
    assert (root / "signing.key").stat().st_mode & 0o777 == 0o600
    assert list((root / ".incoming").iterdir()) == []


async def test_a_signing_key_that_is_too_short_is_refused(backend, root):
    (root / "signing.key").write_bytes(b"short")

    with pytest.raises(KeyDamaged):
        signing_key(root)
