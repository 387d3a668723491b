"""Durable steps on files and folders, and what their failures mean."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from servicekit.durability import no_space, sync
from services.storage.domain.errors import BackendFull, BackendUnreachable

NAME = "local"


@contextmanager
def disk_errors() -> Iterator[None]:
    """Tell of a failing disk in words of the domain, without a path of this machine."""
    try:
        yield
    except OSError as error:
        if no_space(error):
            raise BackendFull(backend=NAME) from error
        raise BackendUnreachable(backend=NAME, why=error.strerror or type(error).__name__) from error


def sync_names(folder: Path) -> None:
    """Make what was moved into or out of a folder survive a power cut; the folder itself may be gone by now."""
    with suppress(FileNotFoundError):
        sync(folder)


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file that only we can read, to the platter. Fails when it exists."""
    path.touch(mode=0o600, exist_ok=False)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def make_folders(folder: Path, below: Path) -> None:
    """Make a folder and its missing parents, durably; `below` exists."""
    names = folder.relative_to(below).parts
    for count in range(1, len(names) + 1):
        step = below.joinpath(*names[:count])
        with suppress(FileExistsError):
            step.mkdir(mode=0o700)
            sync(step.parent)


def prune(folder: Path, below: Path) -> None:
    """Remove a folder and its parents, up to but without `below`, as far as they are empty."""
    while folder != below:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass  # another deletion was quicker; its parents may still be ours to remove
        except OSError:
            return  # not empty: an object is there, or has just come
        folder = folder.parent
