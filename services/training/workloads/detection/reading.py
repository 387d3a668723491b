"""Reads images out of an archive and keeps them small."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.training.domain.errors import UnreadableImage
from services.training.domain.model import Stage
from services.training.workloads.detection.annotations import Annotated, Boxes
from services.training.workloads.detection.canvas import Canvas, read_one
from services.training.workloads.detection.templates.load_model import fit_in
from services.training.workloads.kit.archive import Archive
from services.training.workloads.kit.pictures import Unreadable
from services.training.workloads.kit.pixels import Pixels, room_for
from services.training.workloads.kit.telling import Telling

TOLD_EVERY = 200


@dataclass(frozen=True)
class Pictures:
    """Images on their canvases, n × height × width × 3; by how much each was scaled; the size that each had; and its
    boxes in pixels of that."""

    canvases: Pixels
    scales: npt.NDArray[np.float64]
    sizes: list[tuple[int, int]]
    boxes: list[Boxes]


def read_all(archive: Archive, images: Sequence[Annotated], canvas: Canvas, work: Path, telling: Telling) -> Pictures:
    """All images, scaled. Raises BadImages with how many cannot be read, BadAnnotation, and NoSpace."""
    what = f"{len(images):,} images of {canvas.width} × {canvas.height} pixels"
    canvases = room_for((len(images), canvas.height, canvas.width, 3), what, work)
    scales, sizes, boxes, unreadable = np.ones(len(images)), [], [], Unreadable()
    for place, one in enumerate(images):
        try:
            image, found = read_one(archive, one)
        except UnreadableImage as error:
            unreadable.add(one.path, error)
            continue
        canvases[place], scales[place] = fit_in(image, canvas.width, canvas.height)
        sizes.append(image.size)
        boxes.append(found)
        if place % TOLD_EVERY == TOLD_EVERY - 1:
            telling.begin(Stage.PREPARING, f"Read {place + 1:,} of {len(images):,} images")
    unreadable.refuse(len(images))
    return Pictures(canvases, scales, sizes, boxes)
