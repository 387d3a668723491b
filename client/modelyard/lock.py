"""One yard a data folder: a lock that lasts as long as any of its processes."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Owner:
    """The yard that holds a data folder."""

    url: str = ""
    pid: int = 0

    @property
    def alive(self) -> bool:
        """Whether its supervisor runs; its children may outlive it by a moment."""
        if self.pid <= 0:
            return False
        try:  # one that has ended keeps its id until its parent has asked how, which may take seconds
            return bool(psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


class FolderTaken(Exception):
    """Another yard uses the data folder."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        super().__init__(
            f"Modelyard already runs on {folder}, at {owner.url} (process {owner.pid}). "
            "Use that one, stop it, or choose another folder with MODELYARD_DATA_DIR."
        )
        self.owner = owner


@contextmanager
def hold(folder: Path, url: str, patience_seconds: float) -> Iterator[int]:
    """Hold a data folder for the length of the block; the descriptor is for the children to hold on to.

    Waits for what is left of a yard whose supervisor was killed. Raises FolderTaken when another yard runs there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "yard.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _acquire(descriptor, folder, time.monotonic() + patience_seconds)
        _write(descriptor, json.dumps(asdict(Owner(url, os.getpid()))))
        try:
            yield descriptor
        finally:
            _write(descriptor, "")
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, folder: Path, give_up: float) -> None:
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        owner = owner_of(folder)
        if owner.alive or time.monotonic() > give_up:
            raise FolderTaken(folder, owner)
        time.sleep(0.2)


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def owner_of(folder: Path) -> Owner:
    """Who wrote the lock file last; nobody when it is empty or absent."""
    try:
        return Owner(**json.loads((folder / "yard.lock").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return Owner()
