"""Reads the images of an archive: once, scaled, as bytes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from servicekit.errors import Problem
from services.training.domain import errors
from services.training.workloads.images.layout import Found
from services.training.workloads.images.templates.load_model import as_pixels
from services.training.workloads.kit.archive import Archive
from services.training.workloads.kit.pictures import Unreadable, open_picture
from services.training.workloads.kit.pixels import Pixels, room_for

READ_AT_ONCE = 16

T = TypeVar("T")
R = TypeVar("R")


def read_all(
    archive: Archive, images: Sequence[Found], side: int, folder: Path, threads: int, tell: Callable[[int], None]
) -> tuple[Pixels, Unreadable]:
    """The images that can be read, in order, as images × 3 × side × side, and those that cannot.

    tell is called with how many were read. Raises NoSpace where there is no room for them.
    """
    what = f"{len(images):,} images of {side} × {side} pixels"
    pixels, unreadable, count = room_for((len(images), 3, side, side), what, folder), Unreadable(), 0
    for done, (image, read) in enumerate(_read_in_turn(archive, images, side, threads), 1):
        if isinstance(read, Problem):
            unreadable.add(image.path, read)
        else:
            pixels[count] = read
            count += 1
        tell(done)
    return pixels[:count], unreadable


def _read_in_turn(
    archive: Archive, images: Sequence[Found], side: int, threads: int
) -> Iterator[tuple[Found, Pixels | Problem]]:
    def read(image: Found) -> Pixels | Problem:
        try:
            return as_pixels(open_picture(archive.read(image.path), near=side), side)
        except (errors.UnreadableImage, errors.ArchiveBroken) as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        for some in _batches(images, READ_AT_ONCE):
            yield from zip(some, pool.map(read, some), strict=True)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    waiting = iter(items)
    while some := list(islice(waiting, size)):
        yield some
