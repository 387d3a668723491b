"""Keeps the folders of trainings on the disk of this machine, so that a finished one outlives the service."""

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from servicekit.durability import sync
from servicekit.logging import get_logger
from servicekit.scratch import remove
from servicekit.threads import to_the_end
from services.training.domain.errors import ArtifactNotFound
from services.training.domain.messages import Message, TrainTask, decode, encode
from services.training.domain.model import FinishedTraining, Metric, TrainingResult, TrainingSpec
from services.training.domain.ports import Tombstones

log = get_logger()

ARTIFACT, SPEC = "artifact.zip", "spec.json"
RESULT = "result.jsonl"  # what was told, the result last
KEPT = frozenset({ARTIFACT, SPEC, RESULT})
CHUNK_BYTES = 256 * 1024
READ_BYTES = 4 * CHUNK_BYTES


class FolderShelf:
    """A folder a training, `model_<training_id>`. It is finished from the moment at which it has a result.jsonl."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._finished: dict[str, FinishedTraining] = {}

    def reopen(self, tombstones: Tombstones) -> list[Path]:
        """Find what was finished, and not cancelled, before the service was started; its folders. Blocks."""
        for folder in self._root.glob("model_*"):
            finished = _read_back(folder)
            if finished and not tombstones.has(finished.spec.training_id):
                self._finished[finished.spec.training_id] = finished
        return [self._path(training_id) for training_id in self._finished]

    def finished(self, training_id: str) -> FinishedTraining | None:
        """What was trained and what it gave; None when nothing is kept."""
        return self._finished.get(training_id)

    @asynccontextmanager
    async def folder(self, spec: TrainingSpec) -> AsyncIterator[Path]:
        """A new folder for a training, removed at the end of the block unless it was kept."""
        folder = self._path(spec.training_id)
        try:
            await to_the_end(_create, folder, spec)
            yield folder
        finally:
            if spec.training_id not in self._finished:
                await to_the_end(_discard, folder)

    async def keep(self, finished: FinishedTraining) -> None:
        """Make a training finished, durably, with its artifact; its working files go."""
        training_id = finished.spec.training_id
        await to_the_end(_settle, self._path(training_id), finished)
        self._finished[training_id] = finished

    async def remove(self, training_id: str) -> int:
        """Remove what is kept of a training; the bytes freed, 0 when nothing was."""
        if self._finished.pop(training_id, None) is None:
            return 0
        return await to_the_end(_discard, self._path(training_id))

    async def remove_older(self, hours: float) -> int:
        """Remove every training that was finished longer ago; how many went."""
        oldest = time.time() - hours * 3600
        aged = [name for name, kept in self._finished.items() if kept.result.end_time.timestamp() < oldest]
        for training_id in aged:
            log.warning("a finished training was never released", training_id=training_id, hours=hours)
            await self.remove(training_id)
        return len(aged)

    async def read(self, training_id: str) -> AsyncGenerator[bytes, None]:
        """The artifact of a finished training in chunks of at most 256 KiB; raises ArtifactNotFound."""
        if training_id not in self._finished:
            raise ArtifactNotFound(training_id=training_id)
        file = await asyncio.to_thread((self._path(training_id) / ARTIFACT).open, "rb")
        try:
            while block := await asyncio.to_thread(file.read, READ_BYTES):
                for start in range(0, len(block), CHUNK_BYTES):
                    yield block[start : start + CHUNK_BYTES]
        finally:
            file.close()

    def _path(self, training_id: str) -> Path:
        return self._root / f"model_{training_id}"


def _create(folder: Path, spec: TrainingSpec) -> None:
    folder.mkdir(mode=0o700)
    _write_durably(folder / SPEC, TrainTask(spec))


def _settle(folder: Path, finished: FinishedTraining) -> None:
    for entry in folder.iterdir():
        if entry.name not in KEPT:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    sync(folder / ARTIFACT)
    _write_durably(folder / RESULT, *finished.metrics, finished.result)


def _write_durably(path: Path, *messages: Message) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.writelines(map(encode, messages))
    sync(partial)
    partial.replace(path)
    sync(path.parent)


def _discard(folder: Path) -> int:
    """Remove a folder; the bytes that its files had."""
    # Renamed first: whatever is interrupted from here on, no half of it is taken for a finished training, and nobody
    # who still writes to the old path can mix with a training that starts under that name.
    doomed = folder.with_name(f"gone_{uuid4().hex}")
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return 0
    size = sum(entry.lstat().st_size for entry in doomed.rglob("*") if entry.is_file())
    remove(doomed)
    return size


def _read_back(folder: Path) -> FinishedTraining | None:
    try:
        task = decode((folder / SPEC).read_bytes())
        *told, result = map(decode, (folder / RESULT).read_bytes().splitlines())
        size = (folder / ARTIFACT).stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError) as error:
        log.error("cannot read a finished training", path=str(folder), reason=str(error))
        return None
    if not isinstance(task, TrainTask) or not isinstance(result, TrainingResult) or size != result.artifact_size:
        return None
    return FinishedTraining(task.spec, [event for event in told if isinstance(event, Metric)], result)
