"""Reads the images of an archive: once, scaled, as bytes."""

import mmap
import os
import shutil
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from services.training.domain import errors
from services.training.workloads.images.layout import HEAD_BYTES, Found
from services.training.workloads.images.templates.load_model import as_pixels
from services.training.workloads.kit.archive import Archive
from services.training.workloads.kit.pictures import open_picture, picture_size

# Scaled images take so many bytes of memory together; more lie in a file in the training's folder.
MEMORY_BYTES = 512 * 2**20
# What is left free on the disk.
SPARE_BYTES = 256 * 2**20
# Looked at for sizes and damage before training; beyond, so many of them, evenly spread.
MOST_LOOKED_AT = 5000
READ_AT_ONCE = 16

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Unreadable:
    """Images that cannot be read, with what is wrong, in the order in which they were found."""

    troubles: dict[PurePosixPath, str] = field(default_factory=dict)

    def refuse(self, total: int) -> None:
        """Raise BadImages where there are any."""
        if self.troubles:
            path, trouble = next(iter(self.troubles.items()))
            raise errors.BadImages(
                count=f"{len(self.troubles):,}", total=f"{total:,}", name=repr(str(path)), trouble=trouble
            )


def look_at(archive: Archive, images: Sequence[Found]) -> tuple[int, Unreadable]:
    """The middle of the longer sides of images, in pixels, and those whose beginning cannot be read.

    Of very many, MOST_LOOKED_AT are looked at.
    """
    step = -(-len(images) // MOST_LOOKED_AT)
    sides, unreadable = [], Unreadable()
    for image in images[::step]:
        try:
            sides.append(max(_size(archive, image.path)))
        except errors.UnreadableImage as error:
            unreadable.troubles[image.path] = str(error.facts["trouble"])
        except errors.ArchiveBroken as error:
            unreadable.troubles[image.path] = str(error.facts["trouble"])
    return round(statistics.median(sides)) if sides else 0, unreadable


def _size(archive: Archive, path: PurePosixPath) -> tuple[int, int]:
    try:
        return picture_size(archive.head(path, HEAD_BYTES))
    except errors.UnreadableImage:  # its size may stand behind all that a camera noted
        return picture_size(archive.read(path))


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
