"""An object that is being written to the local disk."""

import asyncio
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from typing import TypeVar

from services.storage.adapters.local import files
from services.storage.adapters.local.disk import Disk
from services.storage.adapters.local.layout import Place
from services.storage.domain.errors import SizeMismatch, StagedFileShort, UploadIncomplete
from services.storage.domain.model import CHUNK_BYTES, Batch, Draft, StoredObject

Result = TypeVar("Result")

_FEW = 64  # pieces that are worth a system call each
_FLUSH_BYTES = 16 * 1024 * 1024


class Flusher:
    """Sends bytes to the platter while more arrive, so that the sync at the end of a large file finds little to do."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None
        self._unflushed = 0

    def wrote(self, file: FileIO, count: int) -> None:
        """Tell of bytes written; begins to flush when they are many. Fails when the flush before failed."""
        self._unflushed += count
        if self._unflushed < _FLUSH_BYTES or (self._running is not None and not self._running.done()):
            return
        self.settle()
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="flush")
        self._running = self._thread.submit(os.fdatasync, file.fileno())
        self._unflushed = 0

    def settle(self) -> None:
        """Wait for the flush that runs. Its failure is raised here: the system tells of it once only."""
        if self._running is not None:
            self._running.result()

    def stop(self) -> None:
        """Wait until nothing runs, whatever came of it."""
        if self._thread is not None:
            self._thread.shutdown()


class PendingFile:
    """Does all its work in one thread of its own, in order: giving up never overtakes a write that still runs."""

    def __init__(self, disk: Disk, draft: Draft) -> None:
        self._disk = disk
        self._draft = draft
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._folder = disk.unused()
        self._file: FileIO | None = None
        self._flusher = Flusher()
        self._given_up = False

    async def write(self, batch: Batch) -> None:
        """Append the next bytes."""
        await self._run(lambda: self._write(batch))

    async def claim(self) -> None:
        """Take over the staged file that the draft names."""
        await self._run(self._opened)

    async def staged(self, count: int) -> Batch:
        """The next bytes that somebody else has written."""
        return await self._run(lambda: self._staged(count))

    async def commit(self, size: int, sha256: str) -> StoredObject:
        """Publish, durably."""
        return await self._run(lambda: self._commit(size, sha256))

    async def close(self) -> None:
        """Remove what was not published. It happens even if the caller does not wait for it."""
        self._given_up = True  # a commit that has begun, and whose caller is gone, publishes nothing any more
        removed = asyncio.get_running_loop().run_in_executor(self._thread, self._remove)
        self._thread.shutdown(wait=False)
        await asyncio.shield(removed)

    async def _run(self, work: Callable[[], Result]) -> Result:
        def told() -> Result:
            with files.disk_errors():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, told)

    def _write(self, batch: Batch) -> None:
        file = self._opened()
        for piece in batch if len(batch) <= _FEW else [b"".join(batch)]:
            rest = memoryview(piece)
            while rest:
                rest = rest[file.write(rest) :]
        self._flusher.wrote(file, sum(map(len, batch)))

    def _staged(self, count: int) -> Batch:
        file = self._opened()
        pieces: list[bytes] = []
        while count and (piece := file.read(min(count, CHUNK_BYTES))):
            pieces.append(piece)
            count -= len(piece)
        if count:
            raise StagedFileShort(missing=count)
        self._flusher.wrote(file, sum(map(len, pieces)))
        return pieces

    def _opened(self) -> FileIO:
        if self._file is None:
            name = Place.of(self._disk.root, self._draft.name).data_name
            if self._draft.staged_path:
                self._file = FileIO(self._disk.claim(self._draft.staged_path, self._folder, name), "r+b")
            else:
                self._folder.mkdir(mode=0o700)
                self._file = FileIO(self._folder / name, "xb")
        return self._file

    def _commit(self, size: int, sha256: str) -> StoredObject:
        file = self._opened()
        self._flusher.settle()
        os.fsync(file.fileno())
        if (found := os.fstat(file.fileno()).st_size) != size:  # whoever writes a staged file may have written on
            raise SizeMismatch(told=size, received=found)
        if self._given_up:
            raise UploadIncomplete
        return self._disk.publish(self._folder, self._draft, size, sha256)

    def _remove(self) -> None:
        self._flusher.stop()
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)  # what stays is swept at the next start
