"""Reads the images of an archive: once, scaled, as bytes."""

import mmap
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from services.training.domain import errors
from services.training.workloads.images.layout import Found
from services.training.workloads.images.looking import Unreadable
from services.training.workloads.images.templates.load_model import as_pixels
from services.training.workloads.kit.archive import Archive
from services.training.workloads.kit.pictures import open_picture

# Scaled images take so many bytes of memory together; more lie in a file in the training's folder.
MEMORY_BYTES = 512 * 2**20
# What is left free on the disk.
SPARE_BYTES = 256 * 2**20
READ_AT_ONCE = 16

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")
R = TypeVar("R")


def read_all(
    archive: Archive, images: Sequence[Found], side: int, folder: Path, threads: int, tell: Callable[[int], None]
) -> tuple[Pixels, Unreadable]:
    """The images that can be read, in order, as images × 3 × side × side, and those that cannot.

    tell is called with how many were read. Raises NoSpace where there is no room for them.
    """
    pixels, unreadable, count = _room(len(images), side, folder), Unreadable(), 0
    for done, (image, read) in enumerate(_read_in_turn(archive, images, side, threads), 1):
        if isinstance(read, str):
            unreadable.troubles[image.path] = read
        else:
            pixels[count] = read
            count += 1
        tell(done)
    return pixels[:count], unreadable


def _read_in_turn(
    archive: Archive, images: Sequence[Found], side: int, threads: int
) -> Iterator[tuple[Found, Pixels | str]]:
    def read(image: Found) -> Pixels | str:
        try:
            return as_pixels(open_picture(archive.read(image.path), near=side), side)
        except (errors.UnreadableImage, errors.ArchiveBroken) as error:
            return str(error.facts["trouble"])

    with ThreadPoolExecutor(threads) as pool:
        for some in _batches(images, READ_AT_ONCE):
            yield from zip(some, pool.map(read, some), strict=True)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    waiting = iter(items)
    while some := list(islice(waiting, size)):
        yield some


def _room(count: int, side: int, folder: Path) -> Pixels:
    shape = (count, 3, side, side)
    size = count * 3 * side * side
    if size <= MEMORY_BYTES:
        return np.empty(shape, np.uint8)
    free = shutil.disk_usage(folder).free
    if size + SPARE_BYTES > free:
        raise errors.NoSpace(needed=f"{size:,}", what=f"{count:,} images of {side} × {side} pixels", free=f"{free:,}")
    with (folder / "pixels").open("w+b") as file:
        # Taken now: a full disk would end the process later, in the middle of writing to memory.
        os.posix_fallocate(file.fileno(), 0, size)
        return np.frombuffer(mmap.mmap(file.fileno(), size), np.uint8).reshape(shape)
