"""Cleans up after a training on a node of a Ray cluster: python -m services.training.adapters.ray_janitor FOLDER.

Ray may kill the process that looks after a training without a word, and then nobody else on that node knows of the
worker and the folder. This one learns it by the end of its standard input. It imports no more than it needs.
"""

import contextlib
import fcntl
import os
import shutil
import sys
import time
from pathlib import Path

from services.training.adapters.tenants import evict

SECONDS = 30.0
PAUSE_SECONDS = 0.05
NEW_SECONDS = 60.0


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
        running = evict(folder)
        shutil.rmtree(folder, ignore_errors=True)
        if not running and not folder.exists():
            return
        time.sleep(PAUSE_SECONDS)


def sweep(root: Path, prefix: str) -> None:
    """Remove what janitors left that were killed themselves."""
    for folder in root.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # it has a janitor, is another user's, or is just being removed
            held = os.open(folder, os.O_RDONLY)
            try:
                # One that was just made may be without a janitor for a moment.
                if time.time() - os.fstat(held).st_mtime > NEW_SECONDS:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    clean(folder)
            finally:
                os.close(held)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
