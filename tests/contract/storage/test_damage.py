"""Bytes or records on the disk that are not what they were: what is still found, read, counted and mended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc
import pytest

from modelyard.storage.v1 import storage_pb2 as pb
from services.storage.adapters.local.backend import local_backend
from services.storage.bootstrap import compose
from services.storage.domain.placements import OnError, Placement
from tests.contract.storage.conftest import KEY, Store, store_over
from tests.contract.storage.faulty import FaultyBackend

DATA = b"0123456789" * 300_000


@pytest.fixture
def cloud() -> FaultyBackend:
    return FaultyBackend("cloud")


@pytest.fixture
def served(socket: str, clock, cloud, root):
    """The service over a cloud and this machine's disk, which keeps a copy of everything."""

    @asynccontextmanager
    async def served(*chain: str, quota: int = 0, **policy) -> AsyncIterator[Store]:
        places = [Placement("datasets", chain or ("cloud",), keep_local_copy=True, **policy)]
        async with local_backend(root) as local:
            application = compose([cloud, local], KEY, timedelta(hours=1), places, now=clock, quota=quota)
            async with store_over(application, socket) as store:
                yield store

    return served


async def usage(store: Store, owner: str = "") -> tuple[int, int]:
    told = await store.stub.GetUsage(pb.GetUsageRequest(owner=owner), **store.within)
    return told.count, told.size


async def replicate(store: Store) -> pb.ReplicateObjectsResponse:
    return await store.stub.ReplicateObjects(pb.ReplicateObjectsRequest(placement="datasets"), **store.within)


class TestDamage:
    """Bytes or records on the disk that are not what they were."""

    @pytest.fixture
    async def store(self, served):
        async with served("cloud", "local", on_error=OnError.NEXT, quota=10**9) as store:
            await store.put("a", DATA, owner="u")
            await store.put("b", DATA, owner="u")
            yield store

    @pytest.fixture(params=["record", "bytes"])
    def damage(self, request: pytest.FixtureRequest, root):
        def damage() -> None:
            name = "@object.json" if request.param == "record" else "a"
            (root / "datasets" / "a@" / name).write_bytes(b'{"context": []}')

        return damage

    async def test_the_sound_copy_is_found_and_read(self, store, damage):
        damage()
        found = await store.stat("a")

        assert found.backend == "cloud"
        assert await store.get("a") == DATA

    async def test_one_damaged_record_hides_nothing_else(self, store, damage, cloud):
        damage()
        cloud._objects.clear()

        assert "b" in await store.keys()
        assert (await usage(store, "u"))[0] >= 1
        assert (await store.put("c", owner="u")).key == "c"

    async def test_a_damaged_copy_is_deleted_alone_and_made_anew(self, store, damage):
        damage()
        await store.delete("a", backend="local")
        done = await replicate(store)

        assert [[copy.backend for copy in found.copies] for found in done.objects] == [["cloud", "local"]]
        assert await usage(store, "u") == (2, 2 * len(DATA))

    async def test_a_damaged_object_can_be_deleted_and_is_counted_no_more(self, store, damage):
        await usage(store)
        damage()
        await store.delete("a")

        assert await store.keys() == ["b"]
        assert await usage(store, "u") == (1, len(DATA))


async def test_a_damaged_copy_in_the_way_is_told_not_passed_over(served, root):
    async with served() as store:
        await store.put("a", DATA)
        (root / "datasets" / "a@" / "@object.json").write_bytes(b"")
        done = await replicate(store)

        assert list(done.objects) == []
        assert [failure.failure.reason for failure in done.failures] == ["OBJECT_DAMAGED"]


async def test_a_flipped_bit_fails_one_reader_and_the_next_gets_the_sound_copy(served, cloud, root, refused):
    async with served() as store:
        await store.put("a", DATA)
        (root / "datasets" / "a@" / "a").write_bytes(b"!" + DATA[1:])
        with refused(grpc.StatusCode.DATA_LOSS):
            await store.get("a")

        assert await store.get("a") == DATA
        cloud._objects.clear()
        with refused(grpc.StatusCode.DATA_LOSS):
            await store.get("a")
