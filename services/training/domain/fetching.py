"""Brings a stored dataset to a file, whole and verified."""

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from servicekit.durability import full_disk_as
from servicekit.errors import Exhausted
from servicekit.threads import to_the_end
from services.training.domain.errors import DatasetChanged
from services.training.domain.model import DatasetSource
from services.training.domain.ports import DatasetReader

BATCH_BYTES = 4 * 1024 * 1024


class ScratchFull(Exhausted):
    """The training service has no disk space left for the dataset. Repeat the request when there is some."""


class _HashedFile:
    """A file that is written in a thread, a batch at a time, and hashed on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._batch: list[bytes] = []
        self._size = 0

    async def write(self, chunk: bytes) -> None:
        self._batch.append(chunk)
        self._size += len(chunk)
        if self._size >= BATCH_BYTES:
            await self._flush()

    async def finish(self) -> str:
        await self._flush()
        await to_the_end(self._file.flush)
        return self._digest.hexdigest()

    async def _flush(self) -> None:
        batch, self._batch, self._size = self._batch, [], 0
        await to_the_end(self._write_all, batch)

    def _write_all(self, batch: list[bytes]) -> None:
        for chunk in batch:
            self._digest.update(chunk)
            self._file.write(chunk)


async def fetch(datasets: DatasetReader, source: DatasetSource, path: Path) -> str:
    """Write a dataset to a file; its SHA-256. Raises DatasetChanged, ScratchFull, and what the reader raises."""
    with full_disk_as(ScratchFull), ExitStack() as opened:
        file = _HashedFile(await to_the_end(lambda: opened.enter_context(path.open("wb"))))
        async for chunk in datasets.read(source):
            await file.write(chunk)
        found = await file.finish()
    if source.sha256 and found != source.sha256.lower():
        raise DatasetChanged(found=found, expected=source.sha256)
    return found
