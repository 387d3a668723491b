"""The scratch folder as a whole: one service at a time, and swept when it starts."""

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from servicekit.errors import CannotStart
from servicekit.logging import get_logger
from servicekit.scratch import sweep

log = get_logger()

WORKER_LOCK = "lock"
WORKER_SECONDS = 10.0


class ScratchInUse(CannotStart):
    """Another training service works in the same folder."""


@contextmanager
def opened(root: Path) -> Iterator[None]:
    """Have the folder to ourselves for the block; raises ScratchInUse. The lock goes with us, however we end."""
    root.mkdir(parents=True, exist_ok=True)
    lock = os.open(root, os.O_RDONLY)
    try:
        if not _locks(lock):
            raise ScratchInUse(f"{root} is in use by another training service; set TRAINING_SCRATCH_DIR to another one")
        yield
    finally:
        os.close(lock)


def clear(root: Path, keep: Iterable[Path]) -> None:
    """Remove what a service that was killed left behind."""
    for lock in root.glob(f"*/{WORKER_LOCK}"):
        _wait_for_worker(lock)
    log.info("scratch swept", removed=sweep(root, keep))


def _wait_for_worker(path: Path) -> None:
    # A worker dies when its service does, a moment later; till then it may still write.
    lock = os.open(path, os.O_RDWR)
    deadline = time.monotonic() + WORKER_SECONDS
    try:
        while not _locks(lock) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        os.close(lock)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def probe(root: Path) -> None:
    """Raise when nothing can be written to the folder. Blocks."""
    with TemporaryFile(dir=root) as file:
        file.write(b"\0")
