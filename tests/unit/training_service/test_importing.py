"""What comes from elsewhere is looked at as it comes."""

from contextlib import asynccontextmanager

import pytest

from services.training.domain.elsewhere import Arrival, PageNotFile, WebWish
from services.training.domain.importing import FetchBounds, Importing
from services.training.domain.slots import Slots


class Pieces:
    """A host that sends so many bytes at a time."""

    def __init__(self, content: bytes, length: int) -> None:
        self._pieces = [content[start : start + length] for start in range(0, len(content), length)]

    @asynccontextmanager
    async def open(self, url: str):
        async def chunks():
            for piece in self._pieces:
                yield piece

        yield Arrival("t.csv", 0, chunks())


async def fetched(content: bytes, length: int) -> bytes:
    importing = Importing(None, Pieces(content, length), FetchBounds(10**6, 10, Slots(1, 1)))
    async with importing.fetch(WebWish("https://elsewhere.example/t.csv")) as found:
        return b"".join([chunk async for chunk in found.chunks])


@pytest.mark.parametrize("length", [1, 7, 5000])
async def test_a_page_is_known_however_small_the_pieces_are(length: int):
    """002.19: also when the first of them is a single `<`."""
    with pytest.raises(PageNotFile):
        await fetched(b"\xef\xbb\xbf\r\n<!DOCTYPE html>\n<html>\n<body>\nhi\n</body>\n</html>", length)


@pytest.mark.parametrize("length", [1, 1023, 1024, 5000])
@pytest.mark.parametrize("rows", [0, 1, 5000])
async def test_a_table_arrives_whole_in_any_pieces(length: int, rows: int):
    """002.19: the pieces that were looked at are not lost."""
    table = b"<OPEN>,<CLOSE>\n" * rows

    assert await fetched(table, length) == table
