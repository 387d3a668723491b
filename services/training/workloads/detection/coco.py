"""Reads the layout of COCO: JSON files with images, annotations and categories; the images lie anywhere."""

import json
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from services.training.workloads.detection import errors
from services.training.workloads.detection.annotations import (
    MOST_CLASSES,
    Annotated,
    Listing,
    Place,
    list_used,
    part_in,
    part_of,
    shown,
    trouble_with_name,
)
from services.training.workloads.kit.archive import Archive
from services.training.workloads.kit.suffixes import SUFFIXES

KEYS = ("images", "annotations", "categories")


@dataclass
class Described:
    """An image as a JSON file describes it, and what is said of it."""

    path: PurePosixPath
    size: tuple[int, int] | None
    boxes: list[list[float]] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


def parse(archive: Archive, path: PurePosixPath) -> Any:
    """What a JSON file holds; AnnotationsUnreadable names the line where it breaks off."""
    try:
        return json.loads(archive.read(path).decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        trouble = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise errors.AnnotationsUnreadable(file=str(path), trouble=trouble) from error
    except (ValueError, RecursionError) as error:
        raise errors.AnnotationsUnreadable(file=str(path), trouble=shown(error)) from error


def is_annotations(content: Any) -> bool:
    """Whether JSON describes images in the way of COCO."""
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in KEYS)


def read(archive: Archive, files: dict[PurePosixPath, Any]) -> Listing:
    """What the JSON files of an archive describe. Raises an InvalidInput that names the file and the entry."""
    pictures = Pictures(archive)
    names: dict[int, str] = {}
    images: dict[PurePosixPath, tuple[PurePosixPath, Annotated]] = {}
    parts = {file: part_in(file.stem) or part_of(file.parent) for file in files}
    parted = len(set(parts.values())) > 1  # what all files say parts nothing
    for file, content in files.items():
        _read_names(file, content, names)
        order = {number: place for place, number in enumerate(names)}
        for image in _read_file(file, content, order, pictures, parts[file]):
            part = (parts[file] if parted else "") or part_of(image.path.parent)
            if image.path in images:
                raise errors.ImageTwice(name=str(image.path), first=images[image.path][0], second=file)
            images[image.path] = (file, replace(image, part=part))
    return list_used("COCO", list(names.values()), [image for _, image in images.values()])


class Pictures:
    """The images of an archive, found by what annotations call them."""

    def __init__(self, archive: Archive) -> None:
        paths = [member.path for member in archive.members if member.path.suffix.lower() in SUFFIXES]
        self._all = set(paths)
        self._by_name: dict[str, list[PurePosixPath]] = defaultdict(list)
        for path in paths:
            self._by_name[path.name].append(path)

    def find(self, name: str, file: PurePosixPath, part: str) -> PurePosixPath | None:
        """The image of a name: beside the file, from the top, or the one whose path ends so; None where none is."""
        wanted = PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/"))  # as an archive tells its names
        for path in (file.parent / wanted, wanted):
            if path in self._all:
                return path
        tail = [word for word in wanted.parts if word not in ("/", "..", ".")]
        found = [path for path in self._by_name[wanted.name] if list(path.parts[-len(tail) :]) == tail]
        if len(found) > 1 and part:
            found = [path for path in found if part_of(path.parent) == part]
        return found[0] if len(found) == 1 else None


def _read_names(file: PurePosixPath, content: Any, names: dict[int, str]) -> None:
    """The classes by their ids; the same in every file."""
    if len(content["categories"]) > MOST_CLASSES:
        raise errors.AnnotationsUnreadable(file=str(file), trouble=f"it has more than {MOST_CLASSES:,} categories")
    for number, category in enumerate(content["categories"]):
        where = f"categories[{number}] of {file}"
        if not isinstance(category, dict) or not _is_id(category.get("id")) or not _is_name(category.get("name")):
            raise errors.BadAnnotation(where=where, trouble="it needs an id, a whole number, and a name")
        key, name = category["id"], " ".join(category["name"].split())
        if trouble := trouble_with_name(name):
            raise errors.BadAnnotation(where=where, trouble=trouble)
        if names.setdefault(key, name) != name:
            raise errors.BadAnnotation(where=where, trouble=f"its id {key} is that of {shown(names[key])!r} already")
    if len(set(names.values())) < len(names):
        raise errors.AnnotationsUnreadable(file=str(file), trouble="two of its categories have the same name")


def _read_file(
    file: PurePosixPath, content: Any, order: dict[int, int], pictures: Pictures, part: str
) -> list[Annotated]:
    described = _read_images(file, content["images"], part, pictures)
    for number, annotation in enumerate(content["annotations"]):
        _read_annotation(f"annotations[{number}] of {file}", number, annotation, described, order)
    return [
        Annotated(
            path=one.path,
            boxes=np.array(one.boxes, np.float64).reshape(-1, 4),
            classes=np.array(one.classes, np.int64),
            crowd=np.array(one.crowd, bool),
            place=Place("annotations[", f"] of {file}", one.numbers),
            size=one.size,
        )
        for one in described.values()
    ]


def _read_images(file: PurePosixPath, images: list[Any], part: str, pictures: Pictures) -> dict[Any, Described]:
    described: dict[Any, Described] = {}
    for number, image in enumerate(images):
        where = f"images[{number}] of {file}"
        if not isinstance(image, dict) or not _is_id(image.get("id")) or not _is_name(image.get("file_name")):
            raise errors.BadAnnotation(where=where, trouble="it needs an id, a whole number or a text, and a file_name")
        if image["id"] in described:
            raise errors.BadAnnotation(where=where, trouble=f"another image has its id, {shown(image['id'])}, too")
        path = pictures.find(image["file_name"], file, part)
        if path is None:
            raise errors.ImageMissing(where=where, name=shown(image["file_name"]))
        described[image["id"]] = Described(path, _size_of(where, image))
    return described


def _size_of(where: str, image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        return None
    if not (_is_number(width) and _is_number(height)):
        trouble = f"no image has the width {shown(width)} and the height {shown(height)}"
        raise errors.BadAnnotation(where=where, trouble=trouble)
    return width, height


def _read_annotation(
    where: str, number: int, annotation: Any, described: dict[Any, Described], order: dict[int, int]
) -> None:
    if not isinstance(annotation, dict):
        raise errors.BadAnnotation(where=where, trouble="it is no object")
    image_id, category_id = annotation.get("image_id"), annotation.get("category_id")
    if not _is_id(image_id) or image_id not in described:
        raise errors.BadAnnotation(where=where, trouble=f"there is no image with the id {shown(image_id)}")
    if not _is_id(category_id) or category_id not in order:
        raise errors.BadAnnotation(where=where, trouble=f"there is no category with the id {shown(category_id)}")
    x, y, width, height = _box_of(where, annotation.get("bbox"))
    image = described[image_id]
    image.boxes.append([x, y, x + width, y + height])
    image.classes.append(order[category_id])
    image.crowd.append(_is_crowd(where, annotation.get("iscrowd")))
    image.numbers.append(number)


def _box_of(where: str, box: Any) -> list[float]:
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(each) for each in box):
        raise errors.BadAnnotation(where=where, trouble=f"its bbox {shown(box)} is not [x, y, width, height]")
    return [float(each) for each in box]


def _is_crowd(where: str, value: Any) -> bool:
    if value not in (0, 1, None):  # as which false and true count
        raise errors.BadAnnotation(where=where, trouble=f"its iscrowd {shown(repr(value))} is neither 0 nor 1")
    return bool(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and isfinite(value)


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
