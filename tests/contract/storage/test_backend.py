"""What every backend promises to the domain."""

import asyncio
import hashlib
from collections.abc import Sequence

import pytest

from services.storage.domain.errors import ObjectExists, ObjectNotFound
from services.storage.domain.model import CHUNK_BYTES, Draft, ObjectName, Span, StoredObject
from services.storage.domain.ports import Backend


def draft(key: str, placement: str = "models", request_id: str = "r") -> Draft:
    return Draft(ObjectName(placement, key), "alice", "text/csv", "file.csv", request_id)


async def put(backend: Backend, key: str, *pieces: bytes) -> StoredObject:
    data = b"".join(pieces)
    async with backend.create(draft(key)) as pending:
        for piece in pieces:
            await pending.write([piece])
        return await pending.commit(len(data), hashlib.sha256(data).hexdigest())


async def get(backend: Backend, key: str, start: int, count: int) -> Sequence[bytes]:
    async with backend.open(ObjectName("models", key)) as source:
        return [piece async for batch in source.batches(Span(start, count)) for piece in batch]


async def test_an_object_is_described_as_it_was_committed(backend: Backend):
    stored = await put(backend, "a/iris.csv", b"12", b"345")

    assert stored.draft == draft("a/iris.csv")
    assert (stored.size, stored.sha256) == (5, hashlib.sha256(b"12345").hexdigest())
    assert stored.backend == backend.name
    assert stored.bucket in stored.uri
    assert await backend.stat(stored.name) == stored


async def test_what_is_not_committed_is_not_there(backend: Backend, leftovers):
    async with backend.create(draft("half")) as pending:
        await pending.write([b"half of it"])

    assert leftovers() == []
    assert await backend.page("models", "", "", 10) == []
    with pytest.raises(ObjectNotFound):
        await backend.stat(ObjectName("models", "half"))


async def test_nobody_sees_an_object_before_it_is_committed(backend: Backend):
    async with backend.create(draft("a")) as pending:
        await pending.write([b"x"])

        assert await backend.page("models", "", "", 10) == []
        await pending.commit(1, hashlib.sha256(b"x").hexdigest())
        assert len(await backend.page("models", "", "", 10)) == 1


async def test_of_many_commits_of_one_key_one_wins(backend: Backend, leftovers):
    async def one(number: int) -> bool:
        try:
            await put(backend, "contested", str(number).encode())
        except ObjectExists:
            return False
        return True

    won = await asyncio.gather(*map(one, range(20)))
    winner = str(won.index(True)).encode()

    assert won.count(True) == 1
    assert await get(backend, "contested", 0, len(winner)) == [winner]
    assert leftovers() == []


async def test_a_span_is_read_in_chunks(backend: Backend):
    data = bytes(range(256)) * 4096  # 1 MiB
    await put(backend, "a", data)

    pieces = await get(backend, "a", 100, len(data) - 200)

    assert b"".join(pieces) == data[100:-100]
    assert max(map(len, pieces)) <= CHUNK_BYTES


async def test_an_empty_object_has_no_chunks(backend: Backend):
    await put(backend, "empty")

    assert b"".join(await get(backend, "empty", 0, 0)) == b""


async def test_an_object_that_is_deleted_meanwhile_is_never_read_short(backend: Backend):
    """Its reader gets the rest of it, as from a disk, or hears that it is gone, as from a cloud."""
    data = b"x" * 5_000_000
    await put(backend, "a", data)
    async with backend.open(ObjectName("models", "a")) as source:
        await backend.delete(ObjectName("models", "a"))
        try:
            read = b"".join([piece async for batch in source.batches(Span(0, len(data))) for piece in batch])
        except ObjectNotFound:
            read = None

    assert read in ((data,) if backend.name in {"local", "memory"} else (data, None))


async def test_a_page_is_in_the_order_of_utf8_bytes_and_goes_on_after_a_key(backend: Backend):
    keys = ["a", "a-b", "a.b", "a/b", "a/b/c", "a0", "b", "Z", "é", "дом/1", "日本", "\U0001f600"]
    for key in keys:
        await put(backend, key, b"x")
    ordered = sorted(keys, key=str.encode)

    assert [found.name.key for found in await backend.page("models", "", "", 100)] == ordered
    for index, key in enumerate(ordered):
        rest = [found.name.key for found in await backend.page("models", "", key, 3)]
        assert rest == ordered[index + 1 : index + 4]


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/", "a/.", "b", "a/b/c/d", "дом/"])
async def test_a_page_holds_what_starts_with_the_prefix(backend: Backend, prefix: str):
    keys = ["a", "a/b", "a/b/c", "a/bc", "a/.hidden", "ab", "b/a", "дом/1"]
    for key in keys:
        await put(backend, key, b"x")

    found = [found.name.key for found in await backend.page("models", prefix, "", 100)]

    assert found == sorted(key for key in keys if key.startswith(prefix))


async def test_placements_do_not_see_each_other(backend: Backend):
    await put(backend, "a", b"x")

    assert await backend.page("datasets", "", "", 10) == []


async def test_of_many_deletions_one_counts(backend: Backend, leftovers):
    await put(backend, "a/b/c", b"12345")

    freed = await asyncio.gather(
        *(backend.delete(ObjectName("models", "a/b/c")) for _ in range(10)), return_exceptions=True
    )

    assert [size for size in freed if size == 5] == [5]
    assert sum(isinstance(size, ObjectNotFound) for size in freed) == 9
    assert leftovers() == []


async def test_a_key_can_be_used_again_after_its_deletion(backend: Backend):
    await put(backend, "a", b"1")
    await backend.delete(ObjectName("models", "a"))
    await put(backend, "a", b"22")

    assert b"".join(await get(backend, "a", 0, 2)) == b"22"


async def test_objects_come_and_go_in_one_folder_without_disturbing_each_other(backend: Backend, leftovers):
    async def come_and_go(number: int) -> None:
        for _ in range(10):
            await put(backend, f"busy/folder/{number}", b"x")
            await backend.delete(ObjectName("models", f"busy/folder/{number}"))

    await asyncio.gather(*map(come_and_go, range(8)))

    assert await backend.page("models", "", "", 10) == []
    assert leftovers() == []


async def test_a_backend_that_works_passes_its_probe(backend: Backend, leftovers):
    await backend.probe()

    assert leftovers() == []
