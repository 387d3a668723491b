"""What the storage service promises to its callers, over every backend and through the wire."""

import asyncio
import hashlib

import pytest
from grpc import StatusCode

from modelyard.storage.v1 import storage_pb2 as pb
from servicekit import statuses

MIB = 1024 * 1024


async def test_what_goes_in_comes_out(store, backend):
    data = hashlib.sha256(b"seed").digest() * 200_000  # 6.4 MB: several batches and a part of one

    stored = await store.put("u1/iris.csv", data, owner="u1", content_type="text/csv", file_name="iris.csv")
    header, read = await store.read(pb.DownloadRequest(name=store.name("u1/iris.csv")))

    assert read == data
    assert header.object == stored == await store.stat("u1/iris.csv")
    assert (stored.size, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (stored.placement, stored.key, stored.owner) == ("datasets", "u1/iris.csv", "u1")
    assert (stored.content_type, stored.file_name, stored.backend) == ("text/csv", "iris.csv", backend.name)
    assert stored.create_time.seconds > 0


async def test_an_object_may_be_empty(store):
    stored = await store.put("empty", b"")

    assert (stored.size, stored.sha256) == (0, hashlib.sha256(b"").hexdigest())
    assert await store.get("empty") == b""
    assert await store.get("empty", offset=-5) == b""


async def test_what_the_header_leaves_out_is_filled_in(store):
    stored = await store.put("u1/table.csv")

    assert (stored.content_type, stored.file_name) == ("application/octet-stream", "table.csv")


async def test_chunks_may_have_any_size_up_to_1_mib(store):
    data = bytes(range(256)) * 20
    tiny = await store.send([store.header("tiny"), *store.chunks(data, 7), store.trailer(data)])
    large = await store.send([store.header("large"), *store.chunks(b"x" * MIB, MIB), store.trailer(b"x" * MIB)])

    assert await store.get("tiny") == data
    assert (tiny.size, large.size) == (len(data), MIB)


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 0, slice(None)),
        (1, 0, slice(1, None)),
        (0, 1, slice(0, 1)),
        (300_000, 300_000, slice(300_000, 600_000)),
        (999_999, 0, slice(999_999, None)),
        (999_990, 500, slice(999_990, None)),
        (-10, 0, slice(-10, None)),
        (-10, 4, slice(-10, -6)),
        (-2_000_000, 0, slice(None)),
    ],
)
async def test_a_range_is_read(store, offset, length, expected):
    data = bytes(number % 251 for number in range(1_000_000))
    await store.put("a", data)

    assert await store.get("a", offset, length) == data[expected]


@pytest.mark.parametrize("offset", [10, 11, 1_000_000])
async def test_a_range_cannot_start_beyond_the_end(store, refused, offset):
    await store.put("a", b"0123456789")

    with refused(StatusCode.OUT_OF_RANGE):
        await store.get("a", offset)


async def test_a_length_cannot_be_negative(store, refused):
    await store.put("a")

    with refused(StatusCode.INVALID_ARGUMENT) as caught:
        await store.get("a", 0, -1)
    assert statuses.field_of(caught.value) == "length"


async def test_an_object_is_never_overwritten(store, refused, leftovers):
    await store.put("a", b"the first")

    with refused(StatusCode.ALREADY_EXISTS):
        await store.put("a", b"the second")
    assert await store.get("a") == b"the first"
    assert leftovers() == []


@pytest.mark.parametrize("backend", ["memory"], indirect=True)
async def test_a_refused_caller_is_waited_for_while_it_holds_its_breath_but_not_for_ever(store, refused):
    """The client library loses the status of a call that ends while a message is on its way."""
    await store.put("a")
    for _ in range(5):  # on a busy machine the breath may be a long one
        call = store.stub.Upload(**store.within)
        await call.write(store.header("a"))
        await asyncio.sleep(0.3)
        if waits := not call.done():
            break

    assert waits
    with refused(StatusCode.ALREADY_EXISTS):
        await call


async def test_a_repeat_returns_the_first_object(store):
    """A repeat with the same request_id is safe, even when it would send other bytes."""
    first = await store.put("a", b"the first", request_id="r1")
    repeat = await store.put("a", b"the first", request_id="r1")
    careless = await store.put("a", b"something else" * 100_000, request_id="r1")

    assert first == repeat == careless
    assert await store.get("a") == b"the first"


async def test_repeats_at_the_same_time_return_one_object(store):
    answers = await asyncio.gather(*(store.put("a", b"bytes", request_id="r1") for _ in range(10)))

    assert all(answer == answers[0] for answer in answers)


async def test_of_twenty_creators_of_one_key_one_wins(store, leftovers):
    answers = await asyncio.gather(
        *(store.put("contested", str(number).encode() * 1000) for number in range(20)), return_exceptions=True
    )
    winners = [answer for answer in answers if isinstance(answer, pb.Object)]
    losers = [answer for answer in answers if not isinstance(answer, pb.Object)]

    assert len(winners) == 1
    assert {loser.code() for loser in losers} == {StatusCode.ALREADY_EXISTS}
    assert hashlib.sha256(await store.get("contested")).hexdigest() == winners[0].sha256
    assert leftovers() == []


DATA = b"some bytes"


def told(**trailer):
    return pb.UploadRequest(trailer=pb.UploadTrailer(**trailer))


@pytest.mark.parametrize(
    "trailer",
    [
        told(size=len(DATA) + 1),
        told(size=0),
        told(size=len(DATA), sha256="0" * 64),
        told(size=len(DATA), sha256="not a checksum"),
    ],
    ids=["longer", "shorter", "other bytes", "no checksum at all"],
)
async def test_bytes_that_are_not_what_was_sent_are_not_kept(store, refused, leftovers, trailer):
    with refused(StatusCode.DATA_LOSS):
        await store.send([store.header("a"), *store.chunks(DATA), trailer])

    assert await store.keys() == []
    assert leftovers() == []


async def test_a_checksum_may_be_in_capitals_or_left_out(store):
    capitals = hashlib.sha256(DATA).hexdigest().upper()
    await store.send([store.header("a"), *store.chunks(DATA), told(size=len(DATA), sha256=capitals)])
    await store.send([store.header("b"), *store.chunks(DATA), told(size=len(DATA))])

    assert await store.keys() == ["a", "b"]


async def test_an_upload_keeps_to_its_order(store, refused, leftovers):
    header, chunk, trailer = store.header("a"), store.chunks(DATA)[0], store.trailer(DATA)
    disorderly = [
        [],
        [chunk, trailer],
        [trailer],
        [header],
        [header, chunk],
        [header, header],
        [header, chunk, header, trailer],
        [header, chunk, trailer, chunk],
        [header, chunk, trailer, trailer],
        [pb.UploadRequest()],
        [header, pb.UploadRequest(), trailer],
        [header, pb.UploadRequest(chunk=b"x" * (MIB + 1)), trailer],
    ]
    for parts in disorderly:
        with refused(StatusCode.INVALID_ARGUMENT):
            await store.send(parts)

    assert await store.keys() == []
    assert leftovers() == []


async def test_an_upload_needs_a_request_id(store, refused):
    without = pb.UploadRequest(header=pb.UploadHeader(placement="datasets", key="a"))

    with refused(StatusCode.INVALID_ARGUMENT) as caught:
        await store.send([without, *store.chunks(DATA), store.trailer(DATA)])
    assert statuses.field_of(caught.value) == "request_id"


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("owner", "x" * 201),
        ("file_name", "é" * 128),
        ("content_type", "text/csv\r\nX-Injected: 1"),
        ("request_id", "x" * 201),
    ],
)
async def test_attributes_are_short_and_plain(store, refused, attribute, text):
    with refused(StatusCode.INVALID_ARGUMENT) as caught:
        await store.put("a", **{attribute: text})
    assert statuses.field_of(caught.value) == attribute


async def test_an_upload_that_is_cancelled_leaves_nothing(store, backend, root, leftovers, eventually):
    call = store.stub.Upload(**store.within)
    await call.write(store.header("cancelled"))
    for chunk in store.chunks(b"x" * 8 * MIB):
        await call.write(chunk)
    if root.exists():
        await eventually(leftovers)
    call.cancel()
    await eventually(lambda: not leftovers())

    assert await store.keys() == []
    assert await store.put("cancelled")


HOSTILE = {
    "empty": "",
    "absolute": "/etc/passwd",
    "trailing slash": "a/",
    "empty segment": "a//b",
    "dot": ".",
    "dot segment": "a/./b",
    "parent": "..",
    "parent segment": "a/../../b",
    "parent at the end": "a/..",
    "nul": "a\x00b",
    "line feed": "a\nb",
    "escape": "a\x1b[2Jb",
    "delete": "a\x7fb",
    "next line": "a\x85b",
    "backslash": "a\\..\\b",
    "long": "/".join(["x" * 150] * 7),
    "long segment": "x" * 201,
    "long segment of few letters": "é" * 101,
    "too many escapes": "%" * 100,
}


@pytest.mark.parametrize("key", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_key_is_refused_by_every_method(store, refused, leftovers, published, key):
    for attempt in (store.put(key), store.get(key), store.stat(key), store.delete(key, True), store.sign(key)):
        with refused(StatusCode.INVALID_ARGUMENT) as caught:
            await attempt
        assert statuses.field_of(caught.value) == "key"
    assert published() == leftovers() == []


@pytest.mark.parametrize(
    "key",
    [
        "...",
        ".hidden/.too",
        "@object.json",
        "object.json",
        "a@/b@",
        "%2E%2E/%2e",
        "a b+c=d&e?f#g*h|i<j>k:l\"m'n",
        "x" * 200 + "/" + "y" * 200,
        "\u0430dmin/\u0430dmin",  # begins with a Cyrillic letter
        "e\u0301/é",
        "\u202egnp.exe",
        "日本語" * 22,
        "\U0001f600",
        "~/.ssh/id_rsa",
        "-rf",
        "CON",
        ".incoming/x",
    ],
)
async def test_an_odd_key_is_a_key_like_any_other(store, key):
    await store.put(key, key.encode())

    assert await store.get(key) == key.encode()
    assert await store.keys() == [key]
    assert await store.delete(key) == len(key.encode())
    assert await store.keys() == []


async def test_keys_that_look_alike_are_different(store):
    alike = ["admin", "\u0430dmin", "Admin", "é", "e\u0301"]
    for key in alike:
        await store.put(key, key.encode())

    for key in alike:
        assert await store.get(key) == key.encode()


@pytest.mark.parametrize("placement", ["", "nowhere", "../datasets", ".incoming", "Datasets"])
async def test_a_placement_must_exist(store, refused, placement):
    with refused(StatusCode.INVALID_ARGUMENT) as caught:
        await store.put("a", placement=placement)
    assert "datasets, models, projects" in caught.value.details()
    with refused(StatusCode.INVALID_ARGUMENT):
        await store.page(placement=placement)


async def test_a_request_must_name_an_object(store, refused):
    with refused(StatusCode.INVALID_ARGUMENT):
        await store.stub.GetObject(pb.GetObjectRequest(), **store.within)
    with refused(StatusCode.INVALID_ARGUMENT):
        await store.read(pb.DownloadRequest())


async def test_what_is_not_there_is_not_found(store, refused):
    await store.put("a/b")
    for missing in ("a", "a/b/c", "b"):
        for attempt in (store.get(missing), store.stat(missing), store.delete(missing), store.sign(missing)):
            with refused(StatusCode.NOT_FOUND):
                await attempt
