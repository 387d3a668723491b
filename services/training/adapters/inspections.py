"""Remembers inspections on disk, so that the second look at a dataset is quick."""

import asyncio
import hashlib
import os
from pathlib import Path

from servicekit.threads import to_the_end
from services.training.domain.inspection import Inspection
from services.training.domain.messages import decode, encode

KEPT, KEPT_BYTES = 512, 64 * 1024 * 1024


class InspectionFiles:
    """A file an inspection, under its SHA-256; the least recently used go first, by their number and by their bytes.

    To lose any of them costs time, nothing else: a file that is not whole counts as none.
    """

    def __init__(self, folder: Path, kept: int = KEPT, kept_bytes: int = KEPT_BYTES) -> None:
        self._folder = folder
        self._kept = kept
        self._kept_bytes = kept_bytes
        self._writing = asyncio.Lock()

    async def get(self, name: str) -> Inspection | None:
        """What was put under a name, if it is still remembered."""
        return await asyncio.to_thread(self._read, name)

    async def put(self, name: str, inspection: Inspection) -> None:
        """Remember it, for as long as there is room."""
        async with self._writing:
            # Not cancelled halfway: the next one to write would meet this one's half.
            await to_the_end(self._write, name, inspection)

    def _read(self, name: str) -> Inspection | None:
        path = self._folder / name
        try:
            digest, _, line = path.read_bytes().partition(b"\n")
            os.utime(path)
        except FileNotFoundError:
            return None  # never written, or evicted meanwhile
        if digest != _digest(line):
            return None
        found = decode(line)
        return found if isinstance(found, Inspection) else None

    def _write(self, name: str, inspection: Inspection) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial, line = self._folder / f"{name}.partial", encode(inspection)
        try:
            with partial.open("wb") as file:
                file.write(_digest(line) + b"\n" + line)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._folder / name)
        finally:
            partial.unlink(missing_ok=True)
        self._evict()

    def _evict(self) -> None:
        states = {path: path.stat() for path in self._folder.iterdir()}
        left = self._kept_bytes
        newest_first = sorted(states, key=lambda path: states[path].st_mtime_ns, reverse=True)
        for place, path in enumerate(newest_first):
            left -= states[path].st_size
            if place >= self._kept or left < 0:
                path.unlink()


def _digest(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest().encode()
