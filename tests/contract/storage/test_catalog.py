"""Lists, deletions and the state of backends, over every backend and through the wire."""

import asyncio

import pytest
from grpc import StatusCode

from modelyard.storage.v1 import storage_pb2 as pb


async def test_objects_are_listed_in_the_order_of_their_keys(store):
    keys = ["a", "a/b", "a-b", "a/é", "a/日本/1", "a/日本/2", "b", "Ω"]
    for key in reversed(keys):
        await store.put(key)

    assert await store.keys() == sorted(keys, key=str.encode)
    for size in (1, 2, 3, 7, 8, 9):
        assert await store.keys(size=size) == sorted(keys, key=str.encode)
    assert await store.keys("a/", 2) == ["a/b", "a/é", "a/日本/1", "a/日本/2"]
    assert await store.keys("a/日", 1) == ["a/日本/1", "a/日本/2"]
    assert await store.keys("nothing") == []


async def test_a_page_has_100_objects_when_nothing_is_said(store):
    for number in range(101):
        await store.put(f"{number:03}", b"")
    page = await store.page()

    assert len(page.objects) == 100
    assert page.next_page_token
    assert len(await store.keys()) == 101


async def test_the_last_page_has_no_token(store):
    await store.put("a")
    await store.put("b")

    assert (await store.page(size=2)).next_page_token == ""


async def test_a_list_is_asked_for_properly(store, refused):
    await store.put("a/1")
    await store.put("a/2")
    token = (await store.page("a/", 1)).next_page_token

    for size in (-1, 1001):
        with refused(StatusCode.INVALID_ARGUMENT):
            await store.page(size=size)
    for bad in ("nonsense", "!", "é", "Li4vYQ==", token[:-2]):
        with refused(StatusCode.INVALID_ARGUMENT):
            await store.page(token=bad)
    with refused(StatusCode.INVALID_ARGUMENT):
        await store.page("b/", token=token)
    for prefix in ("../", "/", "a//", "a\x00", "\\"):
        with refused(StatusCode.INVALID_ARGUMENT):
            await store.page(prefix)


async def test_a_deleted_object_is_gone(store, refused, leftovers):
    await store.put("a/b", b"12345")
    await store.put("a", b"1")

    assert await store.delete("a/b") == 5
    assert await store.keys() == ["a"]
    assert leftovers() == []
    with refused(StatusCode.NOT_FOUND):
        await store.get("a/b")
    with refused(StatusCode.NOT_FOUND):
        await store.delete("a/b")
    assert await store.delete("a/b", allow_missing=True) == 0


async def test_a_prefix_is_deleted_with_a_true_count(store, leftovers):
    for key, size in {"u/1": 10, "u/2/3": 20, "u/2": 30, "u": 1, "u2/1": 2, "uu": 3}.items():
        await store.put(key, b"x" * size)

    deleted = await store.delete_all("u/")

    assert (deleted.count, deleted.size) == (3, 60)
    assert await store.keys() == ["u", "u2/1", "uu"]
    again = await store.delete_all("u/")
    assert (again.count, again.size) == (0, 0)
    assert leftovers() == []


async def test_deletions_of_one_prefix_at_the_same_time_count_every_object_once(store):
    for number in range(40):
        await store.put(f"u/{number}", b"12")

    deleted = await asyncio.gather(*(store.delete_all("u/") for _ in range(4)))

    assert sum(part.count for part in deleted) == 40
    assert sum(part.size for part in deleted) == 80


@pytest.mark.parametrize("prefix", ["", "/", "u", "u/2", "../", "u//"])
async def test_only_whole_segments_are_deleted(store, refused, prefix):
    await store.put("u/2")

    with refused(StatusCode.INVALID_ARGUMENT):
        await store.delete_all(prefix)
    assert await store.keys() == ["u/2"]


async def test_the_backend_is_configured_and_reachable(store, backend):
    answer = await store.stub.ListBackends(pb.ListBackendsRequest(), **store.within)

    assert list(answer.backends) == [pb.Backend(name=backend.name, configured=True, reachable=True)]
