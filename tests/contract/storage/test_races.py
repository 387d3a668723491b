"""What happens to one object at the same time, what a caller who leaves early leaves in the counts, odd requests."""

import asyncio
import base64
import hashlib
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
from tests.contract.storage.gated import GatedBackend

DATA = b"0123456789" * 300_000


@pytest.fixture
def cloud() -> GatedBackend:
    return GatedBackend("cloud")


@pytest.fixture
def disk() -> GatedBackend:
    return GatedBackend("local")


@pytest.fixture
def served(socket: str, clock, cloud, disk):
    """The service over a cloud and a disk, under one placement of a test's own."""

    @asynccontextmanager
    async def served(*chain: str, quota: int = 0, using=None, **policy) -> AsyncIterator[Store]:
        places = [Placement("datasets", chain or ("cloud",), **policy), Placement("drafts", ("local",))]
        application = compose(using or [cloud, disk], KEY, timedelta(hours=1), places, now=clock, quota=quota)
        async with store_over(application, socket) as store:
            yield store

    return served


async def held(backend: GatedBackend, moment: str, call) -> asyncio.Task:
    """A call that stands still at a moment."""
    backend.waits = moment
    running = asyncio.ensure_future(call)
    async with asyncio.timeout(5):
        await backend.there.wait()
    backend.waits = ""
    return running


async def usage(store: Store, owner: str = "") -> tuple[int, int]:
    told = await store.stub.GetUsage(pb.GetUsageRequest(owner=owner), **store.within)
    return told.count, told.size


async def replicate(store: Store) -> pb.ReplicateObjectsResponse:
    return await store.stub.ReplicateObjects(pb.ReplicateObjectsRequest(placement="datasets"), **store.within)


async def test_an_object_that_is_deleted_while_its_copies_are_published_does_not_come_back(served, disk):
    async with served(keep_local_copy=True) as store:
        await usage(store)
        uploading = await held(disk, "before it publishes", store.put("a", DATA))
        deleting = asyncio.ensure_future(store.delete("a"))
        await asyncio.sleep(0.1)
        disk.go_on.set()
        await asyncio.gather(uploading, deleting)

        assert await store.keys() == []
        assert await usage(store) == (0, 0)


@pytest.mark.parametrize("moment", ["after it writes", "before it publishes"])
async def test_an_object_that_is_deleted_while_it_is_brought_home_does_not_come_back(served, cloud, moment):
    async with served("cloud", "local", on_error=OnError.NEXT) as store:
        cloud.breaks_at = "always"
        await store.put("a", DATA)
        cloud.breaks_at = ""
        bringing = await held(cloud, moment, replicate(store))
        deleting = asyncio.ensure_future(store.delete("a"))
        await asyncio.sleep(0.1)
        cloud.go_on.set()
        await asyncio.gather(bringing, deleting)

        assert await store.keys() == []
        assert await usage(store) == (0, 0)


async def test_an_object_that_is_replaced_while_it_is_copied_is_not_copied_under_the_others_checksum(served, cloud):
    async with served("cloud", "local", on_error=OnError.NEXT) as store:
        cloud.breaks_at = "always"
        await store.put("a", DATA)
        cloud.breaks_at = ""
        bringing = await held(cloud, "after it writes", replicate(store))
        await store.delete("a")
        await store.put("a", DATA[::-1])
        cloud.go_on.set()
        await bringing

        assert await store.get("a") == DATA[::-1]
        assert (await store.stat("a")).sha256 == hashlib.sha256(DATA[::-1]).hexdigest()


async def test_two_copies_that_are_deleted_one_by_one_at_the_same_time_are_counted(served, cloud):
    """An object is moved away from both ends at once: it is gone then, and nobody's usage keeps it."""
    async with served(keep_local_copy=True) as store:
        await store.put("a", DATA)
        await usage(store)
        first = await held(cloud, "before it deletes", store.delete("a", backend="cloud"))
        second = asyncio.ensure_future(store.delete("a", backend="local"))
        await asyncio.sleep(0.1)
        cloud.go_on.set()
        await asyncio.gather(first, second)

        assert (await store.keys(), await usage(store)) == ([], (0, 0))


async def test_a_sweep_spares_what_took_the_name_of_what_has_expired(served, cloud, clock):
    async with served() as store:
        await store.put("a", b"old", expires_after=timedelta(days=1))
        clock.moment += timedelta(days=2)
        replacing = await held(cloud, "after it deletes", store.delete("a"))
        sweeping = asyncio.ensure_future(store.stub.SweepExpired(pb.SweepExpiredRequest(), **store.within))
        cloud.go_on.set()
        await replacing
        await store.put("a", b"new")
        swept = await sweeping

        assert list(swept.objects) == list(swept.failures) == []
        assert await store.get("a") == b"new"


async def test_of_two_sweeps_at_the_same_time_each_object_is_told_by_one(served, clock):
    async with served() as store:
        for number in range(30):
            await store.put(f"a/{number}", b"12345", expires_after=timedelta(days=1))
        clock.moment += timedelta(days=2)
        sweep = pb.SweepExpiredRequest(page_size=100)
        both = await asyncio.gather(*(store.stub.SweepExpired(sweep, **store.within) for _ in range(2)))

        assert sum(len(done.objects) for done in both) == 30
        assert sum(done.size for done in both) == 150


@pytest.mark.parametrize(
    ("moment", "there"), [("before it publishes", []), ("after it publishes", ["a"])], ids=["before", "after"]
)
async def test_usage_is_right_after_a_caller_left_while_its_object_was_published(served, cloud, moment, there):
    """Nobody knows at once whether it is there, so it weighs on the quota until somebody looks."""
    async with served(quota=2 * len(DATA)) as store:
        await usage(store)
        (await held(cloud, moment, store.put("a", DATA, owner="u"))).cancel()
        await store.put("b", DATA, owner="u")

        assert await store.keys() == [*there, "b"]
        assert await usage(store, "u") == ((1 + len(there)), (1 + len(there)) * len(DATA))
        if there:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await store.put("c", b"1", owner="u")
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        else:
            await store.put("c", DATA, owner="u")


async def test_a_repeat_is_not_refused_for_the_room_that_its_first_attempt_has_claimed(served, cloud):
    async with served(quota=len(DATA)) as store:
        first = await held(cloud, "before it publishes", store.put("a", DATA, owner="u", request_id="r"))
        repeat = asyncio.ensure_future(store.put("a", DATA, owner="u", request_id="r"))
        await asyncio.wait([repeat], timeout=0.5)
        cloud.go_on.set()

        assert await first == await repeat
        assert await usage(store, "u") == (1, len(DATA))


@pytest.mark.parametrize("moment", ["before it deletes", "after it deletes"])
async def test_usage_is_right_after_a_caller_left_while_its_object_was_deleted(served, cloud, moment):
    async with served(quota=len(DATA)) as store:
        await store.put("a", DATA, owner="u")
        (await held(cloud, moment, store.delete("a"))).cancel()
        await asyncio.sleep(0.1)
        left = await usage(store, "u")
        await store.delete("a", allow_missing=True)
        await store.put("b", DATA, owner="u")

        assert left == ((1, len(DATA)) if moment.startswith("before") else (0, 0))
        assert await usage(store, "u") == (1, len(DATA))


async def test_a_copy_under_another_name_counts_and_a_copy_at_another_backend_does_not(served):
    async with served("cloud", quota=2 * len(DATA)) as store:
        await store.put("a", DATA, owner="u")
        await store.copy("a", backend="local")
        await store.copy("a", "b", request_id="1")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await store.copy("a", "c", request_id="2")
        await store.delete("a", backend="cloud")

        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await usage(store, "u") == (2, 2 * len(DATA))


async def test_an_object_with_all_the_context_it_may_have_is_kept_at_every_backend(served, cloud, disk):
    context = {f"name_{number}": str(number) for number in range(10)}
    async with served("cloud", "local", on_error=OnError.NEXT, keep_local_copy=True) as store:
        both = await store.put("a", DATA, context=context)
        cloud.breaks_at = "always"
        fallen = await store.put("b", DATA, context=context)

        assert [[copy.backend for copy in stored.copies] for stored in (both, fallen)] == [
            ["cloud", "local"],
            ["local"],
        ]
        assert dict(both.context) == dict(fallen.context) == dict((await store.stat("b")).context) == context


async def test_nobody_can_set_where_the_home_of_an_object_is(served, refused):
    """It would tell replication to carry the object away, or be lost without a word."""
    async with served() as store:
        with refused(grpc.StatusCode.INVALID_ARGUMENT) as caught:
            await store.put("a", context={"home": "local"})
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            header = store.header("a", context={"home": "local"}).header
            await store.stub.SignUpload(pb.SignUploadRequest(header=header), **store.within)

        assert '"home"' in caught.value.details()


async def test_what_has_expired_is_there_until_it_is_swept(served, clock):
    """An expiry is when a sweep may delete it; until then it can be read, listed and signed like any other."""
    async with served() as store:
        await store.put("a", DATA, expires_after=timedelta(days=1))
        clock.moment += timedelta(days=2)

        assert await store.get("a") == DATA
        assert (await store.stat("a")).expire_time.seconds < clock.moment.timestamp()
        assert await store.keys() == ["a"]
        assert (await store.sign("a")).uri


async def test_usage_of_a_placement_that_does_not_exist_is_refused(served, refused):
    async with served() as store:
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            await store.stub.GetUsage(pb.GetUsageRequest(placement="nowhere"), **store.within)


async def test_a_token_that_is_nested_without_end_is_refused(served, refused):
    token = base64.urlsafe_b64encode(b"[" * 300_000).decode()
    async with served() as store:
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            await store.stub.SweepExpired(pb.SweepExpiredRequest(page_token=token), **store.within)


@pytest.mark.parametrize(
    "staged", ["/staged-\0/bytes", f"/staged-{'x' * 300}/bytes", "/staged-1/..", "/staged-1/bytes"]
)
async def test_a_staged_path_that_was_not_offered_is_refused(served, refused, root, leftovers, staged):
    async with local_backend(root) as local, served("local", using=[local]) as store:
        parts = [store.header("a", staged_path=f"{root}/.incoming{staged}"), pb.UploadRequest(staged=1)]
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            await store.send([*parts, store.trailer(b"1")])

        assert leftovers() == []


async def test_a_quota_does_not_make_what_may_fall_back_wait_for_a_cloud_that_is_down(served, cloud, refused):
    """000.18 with 000.39: what a cloud holds cannot be counted while it is down; what comes meanwhile is held to it."""
    async with served("cloud") as store:
        await store.put("before", DATA, owner="u")
    cloud.breaks_at = "always"
    async with served("cloud", "local", on_error=OnError.NEXT, quota=2 * len(DATA)) as store:
        for key in ("a", "b"):
            assert (await store.put(key, DATA, owner="u")).fallback
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
            await store.put("c", DATA, owner="u")
        with refused(grpc.StatusCode.UNAVAILABLE):
            await usage(store, "u")
        cloud.breaks_at = ""

        assert await usage(store, "u") == (3, 3 * len(DATA))
        await store.delete("before")
        await store.delete("a")
        await store.put("c", DATA, owner="u")
        assert await usage(store, "u") == (2, 2 * len(DATA))


@pytest.mark.parametrize("moment", ["after it writes", "before it publishes"])
async def test_an_upload_to_several_backends_that_is_cancelled_leaves_nothing_at_any(
    served, cloud, root, leftovers, published, eventually, moment
):
    policy = {"on_error": OnError.NEXT, "keep_local_copy": True}
    async with local_backend(root) as local, served("cloud", "local", using=[cloud, local], **policy) as store:
        (await held(cloud, moment, store.put("a", DATA))).cancel()
        await eventually(lambda: not leftovers())

        assert (await store.keys(), published()) == ([], [])
        assert (await store.put("a", DATA)).size == len(DATA)


async def test_a_copy_that_was_not_made_because_the_caller_left_is_made_by_replication(served, cloud):
    """As it is after a kill between the two: the object is at home, whole, and lacks its local copy."""
    async with served(keep_local_copy=True) as store:
        (await held(cloud, "after it publishes", store.put("a", DATA, request_id="one"))).cancel()
        await asyncio.sleep(0.1)
        found = await store.stat("a")
        repeat = await store.put("a", DATA, request_id="one")
        await replicate(store)

        assert [copy.backend for copy in found.copies] == [copy.backend for copy in repeat.copies] == ["cloud"]
        assert [copy.backend for copy in (await store.stat("a")).copies] == ["cloud", "local"]


async def test_a_cloud_that_is_down_does_not_keep_other_placements_from_being_swept(served, cloud, clock, refused):
    async with served() as store:
        await store.put("a", placement="drafts", expires_after=timedelta(days=1))
        clock.moment += timedelta(days=2)
        cloud.breaks_at = "always"
        first = await store.stub.SweepExpired(pb.SweepExpiredRequest(), **store.within)
        again = pb.SweepExpiredRequest(page_token=first.next_page_token)
        rest = await store.stub.SweepExpired(again, **store.within)
        with refused(grpc.StatusCode.UNAVAILABLE):
            await store.stub.SweepExpired(pb.SweepExpiredRequest(placement="datasets"), **store.within)

        [failure] = first.failures
        assert (failure.name.placement, failure.name.key) == ("datasets", "")
        assert failure.failure.reason == "BACKEND_UNREACHABLE"
        assert [found.key for found in rest.objects] == ["a"]
        assert rest.next_page_token == ""


async def test_a_cloud_that_takes_a_question_and_never_answers_is_waited_for_once(served, cloud, monkeypatch):
    """Another stands in for it where policy has one, and what it alone could know is told as unknown."""
    monkeypatch.setattr("services.storage.domain.shelves.ASK_SECONDS", 0.1)
    async with served("cloud", "local", on_error=OnError.NEXT) as store:
        cloud.waits = "when it is asked"
        stored = await store.put("a", DATA)

        assert (stored.backend, stored.size, stored.fallback) == ("local", len(DATA), True)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await store.stat("elsewhere")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "does not answer in time" in caught.value.details()
