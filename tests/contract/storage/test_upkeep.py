"""Naming, copies, tickets, usage, quotas and expiry, over every backend."""

import asyncio
import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from modelyard.storage.v1 import storage_pb2 as pb
from tests.contract.storage.conftest import early_and_late

DATA = b"0123456789" * 30_000
MIB = 1024 * 1024


async def usage(store, owner: str = "", placement: str = "") -> pb.GetUsageResponse:
    return await store.stub.GetUsage(pb.GetUsageRequest(owner=owner, placement=placement), **store.within)


async def sweep(store, **how) -> pb.SweepExpiredResponse:
    return await store.stub.SweepExpired(pb.SweepExpiredRequest(**how), **store.within)


async def swept(store, **how) -> list[str]:
    """The keys that a whole sweep deletes, page by page."""
    page = await sweep(store, **how)
    keys = [found.key for found in page.objects]
    while page.next_page_token:
        page = await sweep(store, **how, page_token=page.next_page_token)
        keys += [found.key for found in page.objects]
    return keys


async def named(store, placement: str, **attributes: str) -> str:
    request = pb.NameObjectRequest(placement=placement, attributes=attributes)
    return (await store.stub.NameObject(request, **store.within)).key


async def ticket(store, key: str, **header) -> pb.UploadTicket:
    header = store.header(key, **header).header
    return await store.stub.SignUpload(pb.SignUploadRequest(header=header), **store.within)


async def complete(store, token: str, data: bytes) -> pb.Object:
    trailer = pb.UploadTrailer(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    return await store.stub.CompleteUpload(pb.CompleteUploadRequest(token=token, trailer=trailer), **store.within)


async def test_labels_and_context_are_kept(store):
    """000.11: whatever language they are in."""
    labels = {"tags": ["ml-project", "größe"], "context": {"project_name": "Дом | a=b", "task_type": "general_ml"}}
    stored = await store.put("a", owner="ålice", **labels)

    assert stored == await store.stat("a")
    assert (list(stored.tags), dict(stored.context)) == (labels["tags"], labels["context"])


@pytest.mark.parametrize(
    "labels",
    [
        {"tags": ["a,b"]},
        {"tags": [""]},
        {"tags": ["x"] * 11},
        {"tags": ["x" * 101]},
        {"context": {"Big": "x"}},
        {"context": {"x-y": "x"}},
        {"context": {"x": "y" * 201}},
        {"context": {"x": "a\nb"}},
    ],
)
async def test_labels_that_no_backend_could_keep_are_refused(store, refused, labels):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        await store.put("a", **labels)


async def test_an_object_cannot_expire_before_it_is_stored(store, refused):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        await store.put("a", expires_after=timedelta(0))


async def test_keys_follow_the_layout_of_each_placement(store):
    """002.2, 000.6."""
    project = {
        "user": "u1",
        "task_type": "general_ml",
        "project_name": "My_Project",
        "date": "20260301",
        "suffix": "x7",
    }

    assert await named(store, "datasets", user="u1", dataset="d1", file_name="iris.csv") == "u1/d1/iris.csv"
    assert await named(store, "models", user="u1", model="m1", version="v1") == "u1/m1/model-v1.zip"
    assert await named(store, "projects", **project) == "u1/general_ml/My_Project_20260301_x7.zip"


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "..", "a/../b", "a\\b", "\x00", "a\nb", "/abs", "．．/x"])
async def test_what_is_known_of_an_object_never_leaves_its_segment(store, hostile):
    key = await named(store, "datasets", user="u1", dataset="d1", file_name=hostile)

    assert key.startswith("u1/d1/")
    assert key.count("/") == 2
    assert key.rpartition("/")[2] not in {"", ".", ".."}
    assert (await store.put(key)).key == key


async def test_a_name_too_long_or_without_what_it_is_made_of_is_refused(store, refused):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        await named(store, "datasets", user="u1", dataset="d1", file_name="x" * 1000)
    with refused(grpc.StatusCode.INVALID_ARGUMENT) as caught:
        await named(store, "datasets", user="u1", file_name="")

    assert "dataset, file_name" in caught.value.details()


async def test_a_copy_under_another_name_is_an_object_of_its_own(store):
    await store.put("a/1", DATA, owner="u1", tags=["t"])
    copy = await store.copy("a/1", "b/2", request_id="copy")
    again = await store.copy("a/1", "b/2", request_id="copy")
    await store.delete("a/1")

    assert (copy.key, copy.owner, copy.sha256, list(copy.tags)) == (
        "b/2",
        "u1",
        hashlib.sha256(DATA).hexdigest(),
        ["t"],
    )
    assert again == copy
    assert await store.get("b/2") == DATA


async def test_copies_that_make_no_sense_are_refused(store, refused):
    await store.put("a")
    await store.put("b")
    with refused(grpc.StatusCode.NOT_FOUND):
        await store.copy("nothing", "c", request_id="1")
    with refused(grpc.StatusCode.ALREADY_EXISTS):
        await store.copy("a", "b", request_id="2")
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        await store.copy("a")
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        await store.copy("a", backend="elsewhere")
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        await store.copy("a", "c")


async def test_usage_counts_what_is_there_and_follows_what_changes(store):
    """000.29, 000.31: also what was there before anybody asked."""
    await store.put("a/1", b"12345", owner="a")
    await store.put("a/2", b"12", owner="a")
    before = await usage(store)
    await store.put("b/1", b"1", owner="b")
    await store.put("m", b"1234", owner="b", placement="models")
    await store.delete("a/1")
    after = await usage(store)

    assert [(each.owner, each.placement, each.count, each.size) for each in before.usages] == [("a", "datasets", 2, 7)]
    assert [(each.owner, each.placement, each.count, each.size) for each in after.usages] == [
        ("a", "datasets", 1, 2),
        ("b", "datasets", 1, 1),
        ("b", "models", 1, 4),
    ]
    assert (after.count, after.size, after.quota_size) == (3, 7, 0)
    assert (await usage(store, owner="b", placement="models")).size == 4


async def test_deleting_by_prefix_and_failed_uploads_leave_usage_right(store):
    await usage(store)
    for number in range(5):
        await store.put(f"u/{number}", b"12345", owner="u")
    with pytest.raises(grpc.aio.AioRpcError):
        await store.put("u/1", b"again", owner="u")
    with pytest.raises(grpc.aio.AioRpcError):
        await store.send([store.header("u/9", owner="u"), *store.chunks(b"x"), store.trailer(b"y")])
    await asyncio.gather(*(store.delete_all("u/") for _ in range(3)))

    assert (await usage(store)).count == 0


async def test_of_200_uploads_at_once_exactly_those_succeed_that_fit(served_with):
    """000.39: with a quota of 100 MiB, 100 of 1 MiB."""
    async with served_with(quota=100 * MIB) as store:
        store.patience_seconds = 240  # all begin at once, so each may take as long as all of them
        data = bytes(MIB)

        async def one(number: int) -> grpc.StatusCode:
            try:
                await store.put(f"u/{number}", data, owner="u")
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        ended = Counter(await asyncio.gather(*map(one, range(200))))
        now = await usage(store, owner="u")

        assert ended == {grpc.StatusCode.OK: 100, grpc.StatusCode.RESOURCE_EXHAUSTED: 100}
        assert (now.size, now.count, now.quota_size) == (100 * MIB, 100, 100 * MIB)
        assert len(await store.keys("u/", size=1000)) == 100


async def test_a_quota_is_each_owners_own_and_room_comes_back(served_with, refused):
    async with served_with(quota=10) as store:
        await store.put("a", b"1234567890", owner="a")
        await store.put("b", b"1234567890", owner="b")
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED) as caught:
            await store.put("a2", b"1", owner="a")
        await store.delete("a")
        await store.put("a2", b"1", owner="a")

        assert "10 of 10 bytes" in caught.value.details()


async def test_a_quota_counts_what_was_there_when_the_service_started(served_with, refused):
    async with served_with() as store:
        await store.put("a", b"1234567890", owner="a")
    async with served_with(quota=10) as store:
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
            await store.put("a2", b"1", owner="a")


async def test_a_repeat_is_no_second_claim_on_the_quota(served_with):
    async with served_with(quota=10) as store:
        both = await asyncio.gather(*(store.put("a", b"1234567890", owner="a", request_id="r") for _ in range(5)))

        assert {stored.sha256 for stored in both} == {hashlib.sha256(b"1234567890").hexdigest()}


async def test_what_has_expired_is_swept_and_nothing_else(store, clock):
    """000.30, 000.37: a dry run first, which deletes nothing."""
    for number in range(5):
        await store.put(f"old/{number}", b"12345", expires_after=timedelta(days=1))
    await store.put("young", expires_after=timedelta(days=3))
    await store.put("eternal")
    early = await swept(store)
    clock.moment += timedelta(days=1)
    told = await swept(store, dry_run=True)
    there = await store.keys()
    deleted = await swept(store, page_size=2)

    assert early == []
    assert told == deleted == [f"old/{number}" for number in range(5)]
    assert len(there) == 7
    assert await store.keys() == ["eternal", "young"]
    assert await swept(store) == []


async def test_a_sweep_goes_through_all_placements_or_one(store, clock):
    for placement in ("datasets", "models"):
        await store.put("x", placement=placement, expires_after=timedelta(days=1))
    clock.moment += timedelta(days=2)

    assert await swept(store, placement="models") == ["x"]
    assert await swept(store, page_size=1) == ["x"]


async def test_a_sweep_refuses_tokens_that_are_not_its_own(store, refused):
    for token in ("nonsense", "WzFd", "bnVsbA=="):
        with refused(grpc.StatusCode.INVALID_ARGUMENT):
            await sweep(store, page_token=token)


async def test_a_ticket_lets_its_holder_send_one_object(store, send_by_ticket):
    """Straight to the backend where it takes bytes from outside; nothing is seen before it is complete."""
    given = await ticket(store, "t/1", owner="u", content_type="text/csv", file_name="e.csv", tags=["x"])
    with pytest.raises(grpc.aio.AioRpcError) as early:
        await complete(store, given.token, DATA)
    await send_by_ticket(store, given, DATA)
    stored = await complete(store, given.token, DATA)

    assert early.value.code() is grpc.StatusCode.NOT_FOUND
    assert (stored.key, stored.owner, stored.file_name, list(stored.tags)) == ("t/1", "u", "e.csv", ["x"])
    assert await store.get("t/1") == DATA
    assert await complete(store, given.token, DATA) == stored == await store.stat("t/1")


async def test_an_address_downloads_one_object_until_it_expires(store, clock, fetch):
    """003.6: whoever serves it."""
    await store.put("a/отчёт 1.csv", DATA, file_name="отчёт 1.csv", content_type="text/csv")

    async def sign(end: datetime) -> str:
        clock.moment = datetime.now(UTC)
        return (await store.sign("a/отчёт 1.csv", ttl=end - clock.moment)).uri

    async def read(uri: str) -> bytes | None:
        clock.moment = datetime.now(UTC)  # a cloud judges by its own clock
        return await fetch(store, uri)

    assert await early_and_late(sign, read) == (DATA, None)


async def test_a_ticket_is_for_a_time_and_cannot_be_changed(store, clock, refused):
    given = await ticket(store, "t/1")
    forged = given.token[:-2] + ("AA" if not given.token.endswith("AA") else "BB")
    with refused(grpc.StatusCode.PERMISSION_DENIED):
        await complete(store, forged, DATA)
    download = await store.put("d") and await store.sign("d")
    with refused(grpc.StatusCode.PERMISSION_DENIED):
        await complete(store, download.uri.split("/")[2] if download.uri.startswith("/") else "x.y", DATA)
    clock.moment += timedelta(seconds=3601)
    with refused(grpc.StatusCode.PERMISSION_DENIED):
        await complete(store, given.token, DATA)


async def test_no_ticket_is_given_for_a_key_that_is_taken_or_a_time_too_long(store, refused):
    await store.put("taken")
    with refused(grpc.StatusCode.ALREADY_EXISTS):
        await ticket(store, "taken")
    header = store.header("free").header
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        request = pb.SignUploadRequest(header=header, ttl=Duration(seconds=8 * 24 * 3600))
        await store.stub.SignUpload(request, **store.within)


async def test_a_ticket_that_is_completed_many_times_at_once_gives_every_caller_the_one_object(store, send_by_ticket):
    given = await ticket(store, "t/1", owner="u")
    await send_by_ticket(store, given, DATA)
    stored = await asyncio.gather(*(complete(store, given.token, DATA) for _ in range(5)))

    assert all(each == stored[0] for each in stored)
    assert (await usage(store, owner="u")).count == 1


async def test_what_comes_by_ticket_is_held_to_the_quota(served_with, send_by_ticket):
    async with served_with(quota=len(DATA)) as store:
        tickets = [await ticket(store, f"t/{number}", owner="u") for number in range(2)]
        ended = []
        for given in tickets:
            try:
                await send_by_ticket(store, given, DATA)
                await complete(store, given.token, DATA)
                ended.append(grpc.StatusCode.OK)
            except grpc.aio.AioRpcError as error:
                ended.append(error.code())

        assert ended == [grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED]
        assert await store.keys() == ["t/0"]
