"""A placement over more than one backend: the first takes new objects, all are read from."""

import hashlib
from collections.abc import AsyncIterator

import pytest

from services.storage.adapters.memory import MemoryBackend
from services.storage.domain.catalog import Catalog
from services.storage.domain.downloads import Downloads
from services.storage.domain.errors import ObjectExists, ObjectNotFound, UnknownPlacement
from services.storage.domain.model import Deleted, Draft, ObjectName, Part, Trailer
from services.storage.domain.placements import PLACEMENTS, Placement, Shelves
from services.storage.domain.uploads import Uploads


@pytest.fixture
async def shelves():
    """A placement that moved from the old backend to the new one."""
    new, old = MemoryBackend("new"), MemoryBackend("old")
    await put(old, "a", b"old a")
    await put(old, "both", b"old both")
    await put(new, "both", b"new both")
    await put(new, "z", b"new z")
    return Shelves([Placement("models", ("new", "old"))], {"new": new, "old": old})


async def put(backend: MemoryBackend, key: str, data: bytes) -> None:
    async with backend.create(Draft(ObjectName("models", key), "", "", key, "r")) as pending:
        await pending.write([data])
        await pending.commit(len(data), hashlib.sha256(data).hexdigest())


async def parts(key: str, data: bytes) -> AsyncIterator[Part]:
    yield Draft(ObjectName("models", key), "", "", key, "r2")
    yield data
    yield Trailer(len(data), "")


async def test_new_objects_go_to_the_first_backend(shelves):
    stored = await Uploads(shelves).take(parts("n", b"x"))

    assert stored.backend == "new"


async def test_an_object_of_a_later_backend_is_not_written_over(shelves):
    with pytest.raises(ObjectExists):
        await Uploads(shelves).take(parts("a", b"x"))


@pytest.mark.parametrize(("key", "data"), [("a", b"old a"), ("both", b"new both"), ("z", b"new z")])
async def test_objects_are_read_from_the_first_that_has_them(shelves, key, data):
    async with Downloads(shelves).open(ObjectName("models", key), 0, 0) as download:
        read = b"".join([chunk async for chunk in download.chunks()])

    assert read == data


async def test_a_list_merges_the_backends(shelves):
    catalog = Catalog(shelves)
    first = await catalog.page("models", "", 2, "")
    second = await catalog.page("models", "", 2, first.next_token)

    assert [(stored.name.key, stored.backend) for stored in first.objects] == [("a", "old"), ("both", "new")]
    assert [(stored.name.key, stored.backend) for stored in second.objects] == [("z", "new")]
    assert second.next_token == ""


async def test_what_no_backend_has_is_not_found(shelves):
    with pytest.raises(ObjectNotFound):
        await Catalog(shelves).describe(ObjectName("models", "nothing"))


async def test_a_prefix_is_deleted_from_every_backend(shelves):
    backends = list(shelves.backends.values())
    await put(backends[0], "u/1", b"1")
    await put(backends[1], "u/2", b"22")

    assert await Catalog(shelves).delete_all("models", "u/") == Deleted(2, 3)


def test_the_placements_name_backends_that_exist():
    Shelves(PLACEMENTS, {"local": MemoryBackend("local")})

    with pytest.raises(UnknownPlacement):
        Shelves(PLACEMENTS, {"local": MemoryBackend("local")}).behind("nowhere")
