"""Download addresses: whoever holds one may read one object until it expires. Here, those that the gateway serves."""

from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from modelyard.storage.v1 import storage_pb2 as pb
from tests.contract.storage.conftest import backend_of


@pytest.fixture(params=["local", "memory"])
async def backend(request: pytest.FixtureRequest, root):
    """The backends that serve no addresses of their own."""
    async with backend_of(request.param, request, root) as backend:
        yield backend


def token_of(uri: str) -> str:
    empty, files, token, _ = uri.split("/")
    assert (empty, files) == ("", "files")
    return token


async def test_an_address_downloads_its_object(store):
    await store.put("a/отчёт 1.csv", b"its bytes")
    uri = (await store.sign("a/отчёт 1.csv")).uri

    header, data = await store.read(pb.DownloadRequest(token=token_of(uri)))

    assert data == b"its bytes"
    assert header.object.key == "a/отчёт 1.csv"
    assert uri.isascii()
    assert uri.endswith("%201.csv")


async def test_an_address_reads_ranges(store):
    await store.put("a", b"0123456789")
    token = token_of((await store.sign("a")).uri)

    _, data = await store.read(pb.DownloadRequest(token=token, offset=3, length=2))

    assert data == b"34"


async def test_an_address_works_for_an_hour_when_nothing_is_said(store, clock):
    await store.put("a")

    expires = (await store.sign("a")).expire_time.ToDatetime(clock.moment.tzinfo)

    assert expires == clock.moment + timedelta(hours=1)


async def test_an_address_expires(store, clock, refused):
    await store.put("a")
    token = token_of((await store.sign("a", ttl=Duration(seconds=10))).uri)

    clock.moment += timedelta(seconds=9.9)
    assert (await store.read(pb.DownloadRequest(token=token)))[1] == b"some bytes"
    clock.moment += timedelta(seconds=0.1)
    with refused(StatusCode.PERMISSION_DENIED):
        await store.read(pb.DownloadRequest(token=token))


async def test_an_address_opens_no_other_object(store, refused):
    """The halves of two tokens do not fit each other."""
    await store.put("mine")
    await store.put("other")
    mine, other = [token_of((await store.sign(key)).uri).split(".") for key in ("mine", "other")]

    for forged in (f"{other[0]}.{mine[1]}", f"{mine[0]}.{other[1]}"):
        with refused(StatusCode.PERMISSION_DENIED):
            await store.read(pb.DownloadRequest(token=forged))


@pytest.mark.parametrize("forged", ["", ".", "x", "x.y", "é.é", "W10.", "." * 1000])
async def test_a_forged_token_opens_nothing(store, refused, forged):
    with refused(StatusCode.PERMISSION_DENIED):
        await store.read(pb.DownloadRequest(token=forged))


async def test_every_changed_letter_of_a_token_is_noticed(store, refused):
    await store.put("a")
    token = token_of((await store.sign("a")).uri)

    for index in range(0, len(token) - 1, 7):
        changed = token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :]
        with refused(StatusCode.PERMISSION_DENIED):
            await store.read(pb.DownloadRequest(token=changed))


async def test_the_token_of_a_deleted_object_finds_nothing(store, refused):
    await store.put("a")
    token = token_of((await store.sign("a")).uri)
    await store.delete("a")

    with refused(StatusCode.NOT_FOUND):
        await store.read(pb.DownloadRequest(token=token))


@pytest.mark.parametrize(
    "ttl",
    [
        Duration(),
        Duration(nanos=999_999_000),
        Duration(seconds=-1),
        Duration(seconds=604_801),
        Duration(seconds=10**18),
    ],
    ids=str,
)
async def test_an_address_works_for_a_second_to_seven_days(store, refused, ttl):
    await store.put("a")

    with refused(StatusCode.INVALID_ARGUMENT):
        await store.sign("a", ttl=ttl)
    assert (await store.sign("a", ttl=Duration(seconds=1))).uri
    assert (await store.sign("a", ttl=Duration(seconds=604_800))).uri
