"""Remembers cancelled trainings as empty folders, one a training."""

import asyncio
import time
from pathlib import Path

from servicekit.durability import sync
from servicekit.logging import get_logger

log = get_logger()

KEPT_SECONDS = 24 * 3600.0


class FolderTombstones:
    """An empty folder a cancelled training: nothing can be half written. Its age is how long ago that was."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._since: dict[str, float] = {}

    def reopen(self) -> None:
        """Find those of before the service was started; remove the old ones. Blocks; call it once, at the start."""
        self._folder.mkdir(parents=True, exist_ok=True)
        sync(self._folder.parent)
        for path in self._folder.iterdir():
            self._since[path.name] = path.stat().st_mtime
        self._forget(self._expired())

    def has(self, training_id: str) -> bool:
        """Whether it was cancelled."""
        return self._since.get(training_id, 0.0) > time.time() - KEPT_SECONDS

    async def add(self, training_id: str) -> None:
        """Remember it from this moment on; durable on return."""
        self._since[training_id] = time.time()
        await asyncio.to_thread(self._write, training_id)

    async def remove_expired(self) -> None:
        """Forget those that are a day old."""
        await asyncio.to_thread(self._forget, self._expired())

    def _write(self, training_id: str) -> None:
        (self._folder / training_id).mkdir(exist_ok=True)
        sync(self._folder)

    def _expired(self) -> list[str]:
        return [name for name in self._since if not self.has(name)]

    def _forget(self, names: list[str]) -> None:
        for name in names:
            self._since.pop(name, None)
            try:
                (self._folder / name).rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:  # somebody has put something there
                log.error("[CLEANUP] cannot remove", path=str(self._folder / name), reason=str(error))
