"""Looks at the images of an archive without reading them whole, and without what trains on them."""

import statistics
from collections.abc import Sequence
from pathlib import PurePosixPath

from services.training.domain import errors
from services.training.workloads.images.layout import HEAD_BYTES, Found
from services.training.workloads.kit.archive import Archive
from services.training.workloads.kit.pictures import Unreadable, picture_size

# Of very many images so many are looked at, evenly spread.
MOST_LOOKED_AT = 5000


def look_at(archive: Archive, images: Sequence[Found]) -> tuple[int, Unreadable]:
    """The middle of the longer sides of images, in pixels, and those whose beginning cannot be read.

    Of very many, MOST_LOOKED_AT are looked at.
    """
    step = -(-len(images) // MOST_LOOKED_AT)
    sides, unreadable = [], Unreadable()
    for image in images[::step]:
        try:
            sides.append(max(_size(archive, image.path)))
        except (errors.UnreadableImage, errors.ArchiveBroken) as error:
            unreadable.add(image.path, error)
    return round(statistics.median(sides)) if sides else 0, unreadable


def _size(archive: Archive, path: PurePosixPath) -> tuple[int, int]:
    try:
        return picture_size(archive.head(path, HEAD_BYTES))
    except errors.UnreadableImage:  # its size may stand behind all that a camera noted
        return picture_size(archive.read(path))
