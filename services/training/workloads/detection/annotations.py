"""Annotated images, as every layout is read: which image, which boxes, and where each of them is written."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from services.training.workloads.detection import errors
from services.training.workloads.kit.naming import MOST_NAME, is_class_name

Boxes = npt.NDArray[np.float64]

# How far a box may reach over the border before it is taken for a mistake; it is cut off there.
TINY_PIXELS, TINY_SHARE = 2.0, 0.02
TEXT_SHOWN = 80
MOST_CLASSES = 10_000

PARTS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip
# What the name of a folder may say beside its part, as numbers may: train2017, val_images.
BESIDE_PARTS = {"annotations", "coco", "data", "dataset", "image", "images", "img", "imgs", "labels", "set", "split"}


@dataclass(frozen=True)
class Place:
    """Where annotations are written: what is said before and after their number."""

    before: str
    after: str
    numbers: list[int]

    def of(self, row: int) -> str:
        """Where the annotation of a row is."""
        return f"{self.before}{self.numbers[row]}{self.after}"


@dataclass(frozen=True)
class Annotated:
    """An image of the archive and its boxes: n × 4 (x_min, y_min, x_max, y_max), in pixels of the upright image, or,
    where they are relative, in shares of its sides."""

    path: PurePosixPath
    boxes: Boxes
    classes: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    place: Place
    size: tuple[int, int] | None = None
    """Width and height, where they are told."""
    relative: bool = False
    part: str = ""
    """"train", "val" or "test", where the archive says so."""

    @property
    def has_boxes(self) -> bool:
        """Whether there is a thing to find in it; a crowd is none."""
        return bool((~self.crowd).any())

    def within(self, width: float, height: float) -> Boxes:
        """The boxes in pixels of an image of that size, cut off where they reach a little over its border.

        Raises BadAnnotation for boxes outside of the image or without an area.
        """
        sides = np.array([width, height, width, height], dtype=np.float64)
        boxes = self.boxes * sides if self.relative else self.boxes
        self._refuse(~np.isfinite(boxes).all(1), boxes, "its numbers are not finite")
        self._refuse(~(boxes[:, 2:] > boxes[:, :2]).all(1), boxes, "its box has no area")
        tiny = TINY_SHARE * sides if self.relative else np.maximum(TINY_PIXELS, TINY_SHARE * sides)
        outside = (boxes < -tiny).any(1) | (boxes > sides + tiny).any(1)
        told = (
            "where its numbers are shares of the sides, 0 to 1" if self.relative else f"which is {width:g} × {height:g}"
        )
        self._refuse(outside, boxes, f"its box reaches out of the image, {told}")
        cut = boxes.clip(0, sides)
        self._refuse(~(cut[:, 2:] > cut[:, :2]).all(1), boxes, "its box lies outside of the image")
        return cut

    def _refuse(self, wrong: Any, boxes: Boxes, trouble: str) -> None:
        if wrong.any():
            row = int(wrong.argmax())
            told = ", ".join(f"{number:.6g}" for number in boxes[row])
            raise errors.BadAnnotation(where=self.place.of(row), trouble=f"{trouble} (from {told})")


@dataclass(frozen=True)
class Listing:
    """What an archive holds: its images in the order of their names, and the classes that have boxes."""

    layout: str
    classes: list[str]
    images: list[Annotated]
    unused_classes: list[str]

    @property
    def box_count(self) -> int:
        """Things to find in all images together."""
        return sum(int((~image.crowd).sum()) for image in self.images)


def list_used(layout: str, names: list[str], images: list[Annotated]) -> Listing:
    """A listing in which a class that has no box anywhere, which nobody could learn, is left out."""
    counts = np.zeros(len(names), np.int64)
    for image in images:
        np.add.at(counts, image.classes[~image.crowd], 1)
    used = np.flatnonzero(counts)
    places = np.full(len(names), -1)
    places[used] = np.arange(len(used))
    kept = [_renumber(image, places) for image in sorted(images, key=lambda image: str(image.path))]
    unused = [name for name, count in zip(names, counts, strict=True) if not count]
    return Listing(layout, [names[place] for place in used], kept, unused)


def _renumber(image: Annotated, places: npt.NDArray[np.int64]) -> Annotated:
    classes = places[image.classes]
    known = classes >= 0  # only a crowd can be of a class that is left out
    numbers = [number for number, keep in zip(image.place.numbers, known, strict=True) if keep]
    place = Place(image.place.before, image.place.after, numbers)
    return Annotated(
        image.path, image.boxes[known], classes[known], image.crowd[known], place, image.size, image.relative,
        image.part,
    )  # fmt: skip


def part_of(folder: PurePosixPath) -> str:
    """The part that a folder is, or the innermost around it that is one: train, val2017 and test_images are, and
    "crash test" is none."""
    return next((part for name in reversed(folder.parts) if (part := _part_alone(name))), "")


def _part_alone(name: str) -> str:
    words = [word for word in _words_of(name) if word not in BESIDE_PARTS]
    return PARTS.get(words[0], "") if len(words) == 1 else ""


def part_in(name: str) -> str:
    """The part that a word in a name tells, the last that does."""
    return next((PARTS[word] for word in reversed(_words_of(name)) if word in PARTS), "")


def _words_of(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.lower())


def trouble_with_name(name: str) -> str:
    """What is wrong with the name of a class; nothing where it can be one."""
    if is_class_name(name):
        return ""
    return f"{shown(name)!r} is no name for a class, which has 1 to {MOST_NAME} characters that can be printed"


def shown(what: Any) -> str:
    """Something from outside in at most so many characters, on one line; those that cannot be printed as �."""
    text = " ".join(str(what).split())
    cut = text if len(text) <= TEXT_SHOWN else f"{text[:TEXT_SHOWN]}…"
    return "".join(letter if letter.isprintable() else "�" for letter in cut)
