"""What survives a power loss, and what no longer fits on a disk."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Return once a file's content, or a folder's list of names, survives a power loss. Blocks."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def no_space(error: BaseException) -> bool:
    """Whether something failed because the disk is full, or what its user may have of it."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def full_disk_as(problem: Callable[[], Exception]) -> Iterator[None]:
    """Tell of a full disk, where it is met in the block, as this problem."""
    try:
        yield
    except OSError as error:
        if no_space(error):
            raise problem() from error
        raise
