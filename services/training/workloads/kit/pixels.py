"""Room for many scaled images: in memory, or in a file where they are too many."""

import math
import mmap
import os
import shutil
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from services.training.domain.errors import NoSpace

Pixels: TypeAlias = npt.NDArray[np.uint8]

# Scaled images take so many bytes of memory together; more lie in a file in the training's folder.
MEMORY_BYTES = 512 * 2**20
# What is left free on the disk.
SPARE_BYTES = 256 * 2**20


def room_for(shape: tuple[int, ...], what: str, folder: Path) -> Pixels:
    """Bytes of a shape. Raises NoSpace, which says for what, where neither memory nor disk has room for them."""
    size = math.prod(shape)
    if size <= MEMORY_BYTES:
        return np.empty(shape, np.uint8)
    free = shutil.disk_usage(folder).free
    if size + SPARE_BYTES > free:
        raise NoSpace(needed=f"{size:,}", what=what, free=f"{free:,}")
    with (folder / "pixels").open("w+b") as file:
        # Taken now: a full disk would end the process later, in the middle of writing to memory.
        os.posix_fallocate(file.fileno(), 0, size)
        return np.frombuffer(mmap.mmap(file.fileno(), size), np.uint8).reshape(shape)
