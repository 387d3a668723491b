"""Remembers inspections on disk, so that the second look at a dataset is quick."""

import asyncio
import os
from pathlib import Path

from services.training.domain.inspection import Inspection
from services.training.domain.messages import decode, encode

KEPT = 512


class InspectionFiles:
    """A file an inspection, the least recently used go first. To lose any of them costs time, nothing else."""

    def __init__(self, folder: Path, kept: int = KEPT) -> None:
        self._folder = folder
        self._kept = kept
        self._writing = asyncio.Lock()

    async def get(self, name: str) -> Inspection | None:
        """What was put under a name, if it is still remembered."""
        return await asyncio.to_thread(self._read, name)

    async def put(self, name: str, inspection: Inspection) -> None:
        """Remember it, for as long as there is room."""
        async with self._writing:
            await asyncio.to_thread(self._write, name, inspection)

    def _read(self, name: str) -> Inspection | None:
        path = self._folder / name
        try:
            found = decode(path.read_bytes())
            os.utime(path)
        except (FileNotFoundError, ValueError, KeyError):
            return None  # never written, evicted meanwhile, or written by another release
        return found if isinstance(found, Inspection) else None

    def _write(self, name: str, inspection: Inspection) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f"{name}.partial"
        partial.write_bytes(encode(inspection))
        partial.replace(self._folder / name)
        newest_last = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in newest_last[: -self._kept]:
            path.unlink()
