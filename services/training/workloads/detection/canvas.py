"""Looks into some images of an archive, before any is learned from, and settles what they are scaled to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from services.training.domain.errors import UnreadableImage
from services.training.workloads.detection import errors
from services.training.workloads.detection.annotations import Annotated, Boxes
from services.training.workloads.kit.archive import Archive
from services.training.workloads.kit.pictures import Unreadable, open_picture

LOOKED_AT = 100
STEP = 32
# Sides of a canvas, in pixels, where they are settled by the data.
LEAST_SIDE, USUAL_SIDE, MOST_SIDE = 64, 320, 640
# What is small should have so many pixels a side; where even that is large, a coarser grid will do.
SMALL_SIDE, LARGE_SIDE = 12, 64
# What is small: a tenth of the things is smaller.
SMALL_SHARE = 0.1


@dataclass(frozen=True)
class Canvas:
    """The size to which images are scaled, and the stride of the grid on it, in pixels."""

    width: int
    height: int
    stride: int


def look(archive: Archive, images: Sequence[Annotated], image_size: int) -> Canvas:
    """Settle the canvas by some of the images; a BadImages or BadAnnotation where they are not right."""
    step = max(1, -(-len(images) // LOOKED_AT))
    some = images[::step]
    sizes, sides, unreadable = [], [], Unreadable()
    for one in some:
        try:
            image, boxes = read_one(archive, one)
        except UnreadableImage as error:
            unreadable.add(one.path, error)
            continue
        sizes.append(image.size)
        sides.append(np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1)) / max(image.size))
    unreadable.refuse(len(some))
    return settle_canvas(np.array(sizes), np.concatenate(sides), image_size)


def settle_canvas(sizes: npt.NDArray[np.int64], sides: npt.NDArray[np.float64], image_size: int) -> Canvas:
    """Sizes of images, n × 2, and the side of each thing as a share of its image's longer side."""
    small = float(np.quantile(sides, SMALL_SHARE)) if len(sides) else 0.5
    side = image_size or _settle_side(float(np.median(sizes.max(1))), small)
    scaled = sizes * (side / sizes.max(1, keepdims=True))
    width, height = (max(STEP * 2, _up(float(each))) for each in scaled.max(0))
    return Canvas(width, height, stride=8 if small * side > LARGE_SIDE else 4)


def _settle_side(longer: float, small: float) -> float:
    wanted = max(USUAL_SIDE, min(MOST_SIDE, SMALL_SIDE / max(small, 1e-6)))
    return max(LEAST_SIDE, min(longer, wanted))


def _up(pixels: float) -> int:
    return STEP * max(1, int(np.ceil(pixels / STEP - 0.1)))


def read_one(archive: Archive, image: Annotated) -> tuple[Image, Boxes]:
    """An image, upright, and its boxes in pixels. Raises UnreadableImage and BadAnnotation."""
    picture = open_picture(archive.read(image.path))
    if image.size and image.size != picture.size:
        told, found = (f"{width} × {height}" for width, height in (image.size, picture.size))
        trouble = f"the annotations say that it is {told}, and upright it is {found}"
        raise errors.BadAnnotation(where=str(image.path), trouble=trouble)
    return picture, image.within(*picture.size)
