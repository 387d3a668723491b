"""Reads images out of an archive and keeps them small."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.training.domain.errors import UnreadableImage
from services.training.domain.model import Stage
from services.training.workloads.detection.annotations import Annotated, Boxes
from services.training.workloads.detection.canvas import BadOnes, Canvas, read_one
from services.training.workloads.detection.templates.load_model import fit_in
from services.training.workloads.kit.archive import Archive
from services.training.workloads.kit.telling import Telling

# Scaled images stay in memory up to this many bytes; beyond, they lie in a file.
MOST_IN_MEMORY = 2**30
TOLD_EVERY = 200


@dataclass(frozen=True)
class Pictures:
    """Images on their canvases, n × height × width × 3; by how much each was scaled; the size that each had; and its
    boxes in pixels of that."""

    canvases: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float64]
    sizes: list[tuple[int, int]]
    boxes: list[Boxes]


def read_all(archive: Archive, images: Sequence[Annotated], canvas: Canvas, work: Path, telling: Telling) -> Pictures:
    """All images, scaled. Raises BadImages with how many cannot be read, and BadAnnotation."""
    canvases = _room((len(images), canvas.height, canvas.width, 3), work / "canvases")
    scales, sizes, boxes, bad = np.ones(len(images)), [], [], BadOnes(len(images))
    for place, one in enumerate(images):
        try:
            image, found = read_one(archive, one)
        except UnreadableImage as error:
            bad.add(one, error)
            continue
        canvases[place], scales[place] = fit_in(image, canvas.width, canvas.height)
        sizes.append(image.size)
        boxes.append(found)
        if place % TOLD_EVERY == TOLD_EVERY - 1:
            telling.begin(Stage.PREPARING, f"Read {place + 1:,} of {len(images):,} images")
    bad.refuse()
    return Pictures(canvases, scales, sizes, boxes)


def _room(shape: tuple[int, ...], path: Path) -> npt.NDArray[np.uint8]:
    if np.prod(shape, dtype=np.int64) <= MOST_IN_MEMORY:
        return np.empty(shape, np.uint8)
    return np.memmap(path, np.uint8, "w+", shape=shape)
