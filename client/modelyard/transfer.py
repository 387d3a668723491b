"""Files on their way to and from the gateway: never whole in memory, never half on disk."""

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from modelyard.errors import ModelyardError

CHUNK_BYTES = 256 * 1024

Told = Callable[[int, int], None]
"""Called as bytes move: how many have, and how many there are (0 when that is not known)."""


def nobody(_done: int, _total: int) -> None:
    """Tells nobody."""


class CountedFile(io.FileIO):
    """A file open for reading that tells how much of it has been read."""

    def __init__(self, path: Path, told: Told = nobody) -> None:
        super().__init__(path)
        self.length = os.fstat(self.fileno()).st_size
        self._told = told

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on, and tell."""
        data = super().read(size)
        self._told(self.tell(), self.length)
        return data

    def chunks(self) -> Iterator[bytes]:
        """The file from where it stands to its end."""
        return iter(lambda: self.read(CHUNK_BYTES), b"")


def save_verified(chunks: Iterable[bytes], to: Path, sha256: str, total: int, told: Told) -> None:
    """Write bytes to a file that appears whole and checked, or not at all; an older file is replaced.

    Raises ModelyardError with the code CHECKSUM_MISMATCH when the bytes are not those that were announced.
    """
    with published(to) as file:
        found = _copy(chunks, file, total, told)
        if found != sha256:
            message = f"What arrived for {to.name} is not what was sent ({found[:12]}…, not {sha256[:12]}…). Try again."
            raise ModelyardError(0, "CHECKSUM_MISMATCH", message, retryable=True)


def _copy(chunks: Iterable[bytes], file: BinaryIO, total: int, told: Told) -> str:
    digest = hashlib.sha256()
    done = 0
    for chunk in chunks:
        file.write(chunk)
        digest.update(chunk)
        done += len(chunk)
        told(done, total)
    return digest.hexdigest()


@contextmanager
def published(to: Path) -> Iterator[BinaryIO]:
    """A file that appears whole and durable at the end of the block, or, when that fails, not at all."""
    to.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{to.name[:100]}.", suffix=".part", dir=to.parent)
    partial = Path(name)
    try:
        with open(number, "wb") as file:  # noqa: PTH123 — it has a descriptor already
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(to)
    except BaseException:
        with suppress(FileNotFoundError):
            partial.unlink()
        raise
