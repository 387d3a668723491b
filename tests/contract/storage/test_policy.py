"""What each policy does when all is well, and when a backend fails."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, timedelta

import grpc
import pytest

from modelyard.storage.v1 import storage_pb2 as pb
from services.storage.adapters.local.backend import local_backend
from services.storage.adapters.missing import MissingBackend
from services.storage.bootstrap import compose
from services.storage.domain.model import Access
from services.storage.domain.placements import OnError, Placement
from tests.contract.storage.conftest import KEY, Store, store_over
from tests.contract.storage.faulty import FaultyBackend

DATA = b"0123456789" * 300_000
SERVED = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture
async def local(root):
    async with local_backend(root) as backend:
        yield backend


@pytest.fixture
def cloud() -> FaultyBackend:
    return FaultyBackend("cloud")


@pytest.fixture
def served(socket: str, clock, cloud, local):
    """The service over a cloud and the local disk, under one placement of a test's own, `datasets`."""

    @asynccontextmanager
    async def served(*chain: str, using=None, quota: int = 0, **policy) -> AsyncIterator[Store]:
        places = [Placement("datasets", chain or ("cloud",), **policy)]
        application = compose(using or [cloud, local], KEY, timedelta(hours=1), places, now=clock, quota=quota)
        async with store_over(application, socket) as store:
            yield store

    return served


BREAKS = ["create", "write", "commit", "always"]


@pytest.mark.parametrize("breaks_at", BREAKS)
async def test_a_backend_without_a_next_fails_the_upload_and_nothing_is_left(
    served: SERVED, cloud, refused, leftovers, published, breaks_at
):
    """002.16, 001.11: there is no local fall-back, and the error says which backend it was."""
    async with served() as store:
        cloud.breaks_at = breaks_at
        with refused(grpc.StatusCode.UNAVAILABLE) as caught:
            await store.put("a", DATA)
        cloud.breaks_at = ""

        assert "cloud" in caught.value.details()
        assert await store.keys() == []
    assert (leftovers(), published()) == ([], [])


@pytest.mark.parametrize("breaks_at", BREAKS)
async def test_the_next_backend_takes_what_the_first_cannot(served: SERVED, cloud, leftovers, breaks_at):
    """001.12, 000.18: the answer says that it fell back, and why."""
    async with served("cloud", "local", on_error=OnError.NEXT) as store:
        cloud.breaks_at = breaks_at
        stored = await store.put("a", DATA)
        read = await store.get("a")
        again = await store.stat("a")

        assert (stored.backend, stored.fallback, read == DATA) == ("local", True, True)
        assert [(failure.backend, failure.reason) for failure in stored.failures] == [("cloud", "BACKEND_UNREACHABLE")]
        assert (again.fallback, [copy.backend for copy in again.copies]) == (True, ["local"])
    assert leftovers() == []


async def test_when_all_is_well_the_next_backend_keeps_nothing(served: SERVED, leftovers, published):
    async with served("cloud", "local", on_error=OnError.NEXT) as store:
        stored = await store.put("a", DATA)

        assert (stored.backend, stored.fallback, list(stored.failures)) == ("cloud", False, [])
    assert (leftovers(), published()) == ([], [])


async def test_when_every_backend_fails_the_upload_does(served: SERVED, cloud, refused):
    other = FaultyBackend("other")
    async with served("cloud", "other", using=[cloud, other], on_error=OnError.NEXT) as store:
        cloud.breaks_at, other.breaks_at = "write", "commit"
        with refused(grpc.StatusCode.UNAVAILABLE):
            await store.put("a", DATA)
        cloud.breaks_at = other.breaks_at = ""

        assert await store.keys() == []


async def test_a_local_copy_that_fails_does_not_fail_the_upload(served: SERVED, cloud, leftovers):
    local = FaultyBackend("local")
    async with served(using=[cloud, local], keep_local_copy=True) as store:
        local.breaks_at = "commit"
        stored = await store.put("a", DATA)
        local.breaks_at = ""
        done = await _replicate(store)

        assert (stored.backend, stored.fallback, [copy.backend for copy in stored.copies]) == (
            "cloud",
            False,
            ["cloud"],
        )
        assert [failure.backend for failure in stored.failures] == ["local"]
        assert [[copy.backend for copy in found.copies] for found in done.objects] == [["cloud", "local"]]


async def test_a_local_copy_is_kept_beside_the_cloud(served: SERVED, cloud):
    """000.4: the local copy is always kept, and spares the cloud the reading."""
    async with served(keep_local_copy=True) as store:
        stored = await store.put("a", DATA)
        cloud.breaks_at = "always"
        read = await store.get("a")

        assert [copy.backend for copy in stored.copies] == ["cloud", "local"]
        assert (stored.backend, stored.uri, read == DATA) == ("cloud", "cloud://datasets/a", True)


async def test_deleting_takes_every_copy(served: SERVED, published):
    async with served(keep_local_copy=True) as store:
        await store.put("a", DATA)
        freed = await store.delete("a")

        assert (freed, await store.keys()) == (len(DATA), [])
    assert published() == []


async def test_what_has_a_copy_in_a_cloud_that_is_down_is_not_half_deleted(served: SERVED, cloud, refused):
    async with served(keep_local_copy=True) as store:
        await store.put("a", DATA)
        cloud.breaks_at = "always"
        with refused(grpc.StatusCode.UNAVAILABLE):
            await store.delete("a")

        assert await store.get("a") == DATA


async def test_a_list_is_never_shorter_because_a_backend_is_down(served: SERVED, cloud, refused):
    async with served(keep_local_copy=True) as store:
        await store.put("a")
        cloud.breaks_at = "page"
        with refused(grpc.StatusCode.UNAVAILABLE):
            await store.keys()


async def test_an_object_that_fell_back_is_brought_home(served: SERVED, cloud, published):
    """A dry run tells of it; the real one copies it, verifies it and clears the place it fell back to."""
    async with served("cloud", "local", on_error=OnError.NEXT) as store:
        cloud.breaks_at = "create"
        fallen = await store.put("a", DATA)
        failed = await _replicate(store)
        cloud.breaks_at = ""
        dry = await _replicate(store, dry_run=True)
        done = await _replicate(store)
        now = await store.stat("a")

        assert fallen.fallback
        assert [failure.failure.reason for failure in failed.failures] == ["BACKEND_UNREACHABLE"]
        assert [found.key for found in dry.objects] == [found.key for found in done.objects] == ["a"]
        assert (now.backend, now.fallback, now.sha256) == ("cloud", False, hashlib.sha256(DATA).hexdigest())
        assert [copy.backend for copy in now.copies] == ["cloud"]
        assert await store.get("a") == DATA
        assert list((await _replicate(store)).objects) == []
    assert published() == []


async def test_what_was_kept_here_before_there_was_a_cloud_stays_until_somebody_moves_it(served: SERVED, cloud, local):
    """Nobody's files are sent to a cloud because it was configured."""
    policy = {"on_error": OnError.NEXT, "keep_local_copy": True}
    async with served("cloud", "local", using=[local], **policy) as store:
        await store.put("a", DATA)
    async with served("cloud", "local", **policy) as store:
        replicated = await _replicate(store)
        found = await store.stat("a")

        assert list(replicated.objects) == []
        assert (found.backend, found.fallback) == ("local", False)


async def test_an_object_is_moved_by_a_copy_and_the_deletion_of_the_other(served: SERVED, local, cloud, published):
    async with served("cloud", using=[local]) as store:
        await store.put("a", DATA)
    async with served("cloud") as store:
        for _ in range(2):  # a repeat after a kill
            copied = await store.copy("a", backend="cloud")
        freed = await store.delete("a", backend="local")
        again = await store.delete("a", backend="local", allow_missing=True)

        assert [copy.backend for copy in copied.copies] == ["cloud", "local"]
        assert (freed, again, await store.get("a") == DATA) == (len(DATA), 0, True)
        assert (await store.stat("a")).backend == "cloud"
    assert published() == []


async def test_a_repeat_finds_what_fell_back(served: SERVED, cloud):
    async with served("cloud", "local", on_error=OnError.NEXT) as store:
        cloud.breaks_at = "always"
        first = await store.put("a", DATA, request_id="one")
        again = await store.put("a", b"other bytes", request_id="one")

        assert (again.sha256, again.backend) == (first.sha256, "local")


async def test_a_key_that_fell_back_is_not_given_to_another_upload(served: SERVED, cloud, refused):
    async with served("cloud", "local", on_error=OnError.NEXT) as store:
        cloud.breaks_at = "always"
        await store.put("a", DATA, request_id="one")
        cloud.breaks_at = ""
        with refused(grpc.StatusCode.ALREADY_EXISTS):
            await store.put("a", DATA, request_id="two")


async def test_policy_gives_access_and_expiry_and_a_writer_may_say_how_long(served: SERVED, clock):
    """000.8, 000.38: a year by default, or what the writer wants."""
    async with served(access=Access.PUBLIC, expires_after=timedelta(days=365)) as store:
        usual = await store.put("a")
        custom = await store.put("b", expires_after=timedelta(days=7))

        assert usual.access == pb.ACCESS_PUBLIC
        assert usual.expire_time.ToDatetime(UTC) == clock() + timedelta(days=365)
        assert custom.expire_time.ToDatetime(UTC) == clock() + timedelta(days=7)


async def test_a_backend_that_is_required_and_off_fails_with_what_is_missing(served: SERVED, local, refused):
    """002.14, 002.16."""
    missing = MissingBackend("cloud", "CLOUD_KEY is not set")
    async with served(using=[local, missing], required=True) as store:
        with refused(grpc.StatusCode.UNAVAILABLE) as caught:
            await store.put("a")
        told = await store.stub.ListBackends(pb.ListBackendsRequest(), **store.within)

        assert "CLOUD_KEY is not set" in caught.value.details()
        assert [(each.name, each.configured) for each in told.backends] == [("local", True), ("cloud", False)]


async def test_policies_in_force_are_told(served: SERVED):
    async with served("cloud", "local", on_error=OnError.NEXT, expires_after=timedelta(days=1)) as store:
        told = await store.stub.ListPlacements(pb.ListPlacementsRequest(), **store.within)
        [place] = told.placements

        assert (place.name, list(place.backends), place.on_error) == ("datasets", ["cloud", "local"], pb.ON_ERROR_NEXT)
        assert place.expires_after.ToTimedelta() == timedelta(days=1)


async def _replicate(store: Store, dry_run: bool = False) -> pb.ReplicateObjectsResponse:
    request = pb.ReplicateObjectsRequest(placement="datasets", dry_run=dry_run)
    return await store.stub.ReplicateObjects(request, **store.within)
