"""Counts the rows of a table while its bytes stream past."""

import codecs
from collections.abc import AsyncIterator

ASCII_COMPATIBLE = ("utf-8", "utf_8", "utf-8-sig", "ascii", "cp125", "latin", "iso-8859", "iso8859")
BLANK = (b"\n\n", b"\n\r\n")


class RowCounter:
    """Counts the lines that are not blank, but for line breaks within quotes.

    It looks at bytes only with searches that run in C, so that it costs little beside the network.
    """

    def __init__(self, encoding: str) -> None:
        compatible = encoding.lower().startswith(ASCII_COMPATIBLE)
        self._decoder = None if compatible else codecs.getincrementaldecoder(encoding)("replace")
        self._quoted = False
        self._lines = 0
        self._last = b"\n"  # the text begins at the start of a line

    def feed(self, chunk: bytes) -> None:
        """Count what comes next."""
        data = chunk if self._decoder is None else self._decoder.decode(chunk).encode()
        outside = self._outside_quotes(data)
        if not outside:
            return
        text = self._last + outside
        self._lines += outside.count(b"\n")
        if any(blank in text for blank in BLANK):
            self._lines -= _blank_lines(text)
        self._last = text[-2:] if text.endswith(b"\n\r") else text[-1:]

    async def watching(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks, counted as they pass."""
        async for chunk in chunks:
            self.feed(chunk)
            yield chunk

    def rows(self) -> int:
        """Rows so far, the header not counted."""
        unfinished = self._last not in (b"\n", b"\n\r")
        return max(0, self._lines + unfinished - 1)

    def _outside_quotes(self, data: bytes) -> bytes:
        if b'"' not in data:
            return b"" if self._quoted else data
        parts = data.split(b'"')
        outside = parts[1::2] if self._quoted else parts[::2]
        self._quoted ^= len(parts) % 2 == 0
        # A quote stands for the text within, so that a line that holds nothing else is not blank.
        return b'"'.join(outside)


def _blank_lines(text: bytes) -> int:
    # The first part ends the line that was begun before, the last is not ended yet.
    return sum(not line.strip(b"\r") for line in text.split(b"\n")[1:-1])
