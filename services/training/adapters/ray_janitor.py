"""Cleans up after a training on a node of a Ray cluster: python -m services.training.adapters.ray_janitor FOLDER.

Ray may kill the process that looks after a training without a word, and then nobody else on that node knows of the
worker and the folder. This one learns it by the end of its standard input. It imports no more than it needs.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SECONDS = 30.0
PAUSE_SECONDS = 0.05


def main(folder: Path) -> None:
    """Wait until the folder is no longer used, then end all that runs in it, and remove it."""
    if os.fork():
        os._exit(0)  # so that we are nobody's child: Ray ends the children of a process that it ends
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)  # tells those that come later that somebody sees to it
    os.write(1, b"\n")
    while os.read(0, 1024):
        pass
    clean(folder)


def clean(folder: Path) -> None:
    """End all that runs in a folder, and remove it."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        running = list(users_of(folder))
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        if not running and not folder.exists():
            return
        time.sleep(PAUSE_SECONDS)


def users_of(folder: Path) -> Iterator[int]:
    """Processes whose home is in a folder: a training's, and whatever they started, in whichever group it is."""
    mark = f"HOME={folder}/".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            # Not ours, or ended meanwhile; one that has ended and is not reaped yet has no environment.
            with contextlib.suppress(OSError):
                if any(line.startswith(mark) for line in (entry / "environ").read_bytes().split(b"\0")):
                    yield int(entry.name)


def sweep(root: Path, prefix: str) -> None:
    """Remove what janitors left that were killed themselves."""
    for folder in root.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # another user's, or just removed
            held = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                clean(folder)
            finally:
                os.close(held)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
