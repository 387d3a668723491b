"""Forms are read as they come, wherever the network has cut them."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from starlette.requests import Request

from gateway import incoming
from gateway.incoming import CutOff, FileMissing, FileTooLarge, FormBroken, Incoming

BOUNDARY = "x-boundary"
CLOSED = f"--{BOUNDARY}--\r\n".encode()
BITS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"--",
    b"\r\n--",
    b"x-boundary",
    b"--x-boundary",
    b"\r\n--x-boundarx",
    b"a",
    b"\0",
    b"\xff",
]


def part(name: str, content: bytes, more: str = "", header: str = "Content-Disposition") -> bytes:
    return f'--{BOUNDARY}\r\n{header}: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"


def posted(pieces: list[bytes], content_type: str = f"multipart/form-data; boundary={BOUNDARY}") -> Request:
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    arriving = iter([*messages, {"type": "http.request", "body": b"", "more_body": False}])

    async def receive():
        return next(arriving)

    return Request({"type": "http", "headers": [(b"content-type", content_type.encode())]}, receive)


async def read(body: bytes, *cuts: int, limit: int = 10**9) -> tuple[Incoming, bytes]:
    places = [0, *sorted(cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    arriving = await incoming.form(posted(pieces), limit)
    return arriving, b"".join([chunk async for chunk in arriving.chunks])


@given(st.lists(st.sampled_from(BITS)).map(b"".join), st.data())
async def test_a_form_is_the_same_however_it_was_cut(content, data):
    """000.1: file and fields come out as they went in, also where the file nearly holds the boundary."""
    assume(f"\r\n--{BOUNDARY}".encode() not in content)
    body = part("target", b" answer ") + part("file", content, '; filename="a.csv"') + part("seed", b"7") + CLOSED
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=8))
    arriving, got = await read(body, *cuts)

    assert got == content
    assert arriving.file_name == "a.csv"
    assert arriving.fields == {"target": "answer", "seed": "7"}


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ('; filename="größe 測.csv"', "größe 測.csv"),
        ('; filename="a;b=c.csv"', "a;b=c.csv"),
        (r'; filename="say \"hi\".csv"', 'say "hi".csv'),
        (r'; filename="C:\data\a.csv"', "a.csv"),
        ("; filename=plain.csv", "plain.csv"),
        ('; FileName="a.csv"', "a.csv"),
        ("", "data.csv"),
    ],
)
async def test_a_file_has_the_name_that_its_part_says(told, name):
    arriving, _ = await read(part("file", b"a", told, "content-disposition") + CLOSED)

    assert arriving.file_name == name


async def test_what_nobody_asked_for_is_passed_over():
    """Fields that no form has are not held, however long they are."""
    body = part("other", b"o" * 100_000) + part("folder_zip", b"PK") + part("another", b"o" * 100_000) + CLOSED
    arriving, got = await read(body)

    assert (got, arriving.fields) == (b"PK", {})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (part("target", b"y") + CLOSED, FileMissing),
        (b"", FileMissing),
        (part("file", b"a") + part("folder_zip", b"b") + CLOSED, FormBroken),
        (part("seed", b"1") + part("seed", b"2") + part("file", b"a") + CLOSED, FormBroken),
        (part("seed", b"1") + part("file", b"a") + part("seed", b"1") + CLOSED, FormBroken),
        (part("target", b"y" * 10_001) + part("file", b"a") + CLOSED, FormBroken),
        (part("file", b"a") + part("target", b"y" * 10_001) + CLOSED, FormBroken),
        (part("file", b"a", "; filename=" + "a" * 100_000) + CLOSED, FormBroken),
        (b"a,b\n1,2\n" + CLOSED, FormBroken),
        (part("file", b"a")[:-1], CutOff),
        (part("file", b"a" * 1_000_000) + CLOSED, FileTooLarge),
    ],
)
async def test_a_form_that_cannot_be_used_is_refused(body, problem):
    with pytest.raises(problem):
        await read(body, limit=1000)


async def test_fields_that_mean_nothing_are_named():
    """000.11: who takes the form decides what to make of them; those that pages send are passed over."""
    body = part("Seed", b"7") + part("user_id", b"me") + part("seed", b"7") + part("file", b"a") + part("late", b"1")
    arriving, _ = await read(body + CLOSED)

    assert arriving.fields == {"seed": "7"}
    assert arriving.unknown == ["Seed", "late"]


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        (part("file", b"a") + part("folder_zip", b"b") + CLOSED, "more than one file. Send one; of a folder, a zip."),
        (part("seed", b"1") + part("seed", b"2") + CLOSED, "the field seed more than once. Send it once."),
        (part("parameters", b"y" * 10_001) + CLOSED, "parameters is longer than 10000 bytes. Upload the file as a"),
        (b"a,b\n1,2\n" + CLOSED, ". Send multipart/form-data with a boundary."),
    ],
)
async def test_what_to_do_goes_by_what_is_wrong_with_the_form(body, advice):
    """000.11."""
    with pytest.raises(FormBroken) as raised:
        await read(body)

    assert advice in str(raised.value)


async def test_a_field_left_empty_is_as_if_it_were_not_there():
    """000.11: a page may send one for every value that it has none for."""
    body = part("seed", b"") + part("seed", b"7") + part("file", b"a") + part("seed", b"") + CLOSED
    arriving, _ = await read(body)

    assert arriving.fields == {"seed": "7"}


@pytest.mark.parametrize("content_type", ["multipart/form-data", f"multipart/form-data; boundary={'x' * 1000}"])
async def test_a_form_without_a_boundary_is_refused(content_type):
    with pytest.raises(FormBroken):
        await incoming.form(posted([part("file", b"a") + CLOSED], content_type), 1000)
