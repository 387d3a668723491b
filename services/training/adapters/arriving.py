"""Rows on their way to a worker process, which reads them while they come: pieces, each after its length, then the end.
Nobody knows at their beginning how many bytes there will be."""

import io
import struct
from typing import BinaryIO

from typing_extensions import Buffer, override

_LENGTH = struct.Struct(">I")
END = _LENGTH.pack(0)
"""After the last piece."""
BROKEN_OFF = _LENGTH.pack(2**32 - 1)
"""Instead of what should have come: nobody waits for an answer any more."""


def announced(piece: bytes) -> tuple[bytes, bytes]:
    """A piece as it is sent. An empty one would be the end."""
    return (_LENGTH.pack(len(piece)), piece) if piece else (b"", b"")


class Arriving(io.RawIOBase):
    """Pieces out of a source, as a stream that ends where they do."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._left = 0
        self._ended = False
        self.broken_off = False
        """Whether they ended before they were whole; known at the end."""

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer) -> int:
        """What is left of one piece, as far as there is room for it; 0 at the end."""
        if not self._left:
            self._announce()
        room = memoryview(buffer)[: self._left]
        room[:] = self._take(len(room))
        return len(room)

    @override
    def readall(self) -> bytes:
        """All that is still to come."""
        pieces = []
        while self._left or self._announce():
            pieces.append(self._take(self._left))
        return b"".join(pieces)

    def _take(self, size: int) -> bytes:
        taken = self._source.read(size)
        if len(taken) < size:
            raise EOFError("the service ended before the rows did")
        self._left -= size
        return taken

    def _announce(self) -> bool:
        """Hear of the next piece; False where there is none."""
        if not self._ended:
            word = self._source.read(_LENGTH.size) or BROKEN_OFF
            self.broken_off = word == BROKEN_OFF
            self._ended = word in (END, BROKEN_OFF)
            self._left = 0 if self._ended else _LENGTH.unpack(word)[0]
        return not self._ended
