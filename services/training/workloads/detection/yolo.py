"""Reads the layout of YOLO: beside the images, or in a folder `labels` where theirs is `images`, a text file each with
a line "class x y width height" a thing, in shares of the image's sides, x and y of its middle."""

import math
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar, Never

import numpy as np
import yaml

from services.training.workloads.detection import errors
from services.training.workloads.detection.annotations import (
    MOST_CLASSES,
    Annotated,
    Listing,
    Place,
    list_used,
    part_of,
    shown,
    trouble_with_name,
)
from services.training.workloads.kit.archive import Archive
from services.training.workloads.kit.suffixes import SUFFIXES

YAML_BYTES = 256 * 1024
TEXT_BYTES = 4 * 1024 * 1024
LISTS = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt", "names.txt")
# Text files that say something of the whole, unless there is an image of that name.
NOT_LABELS = {*LISTS, "readme.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "license.txt", "notes.txt",
              "readme.dataset.txt", "readme.roboflow.txt"}  # fmt: skip


def _refuse_python(_loader: yaml.BaseLoader, name: str, node: yaml.Node) -> Never:
    raise yaml.constructor.ConstructorError(problem=f"it asks for {name!r} of Python", problem_mark=node.start_mark)


class TextLoader(yaml.BaseLoader):
    """Makes lists, mappings and texts of a file, and nothing else: a class may be called yes, or 2024-01-01."""

    yaml_multi_constructors: ClassVar[dict[str | None, Any]] = {"tag:yaml.org,2002:python/": _refuse_python}


@dataclass(frozen=True)
class Told:
    """What an archive says of its lines: the names of the classes, none where it does not tell them, and whether points
    of a pose follow each box."""

    names: list[str]
    posed: bool


@dataclass
class Lines:
    """The boxes of a label file and the lines that they stand in."""

    boxes: list[list[float]] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


def label_files(archive: Archive) -> dict[PurePosixPath, PurePosixPath]:
    """The label files of an archive, each by the path without suffix of the image that it is about; where none is
    called so, of one that is but for the case. A text file that lies neither beside images nor in a folder `labels` is
    about something else."""
    images = {member.path.with_suffix("") for member in archive.members if member.path.suffix.lower() in SUFFIXES}
    folders = {stem.parent for stem in images}
    in_any_case = {_lowered(stem): stem for stem in images}
    texts = [(_of_image(path), path) for path in _texts(archive)]
    found: dict[PurePosixPath, PurePosixPath] = {}
    for stem, path in sorted(texts, key=lambda text: text[0] not in images):
        image = stem if stem in images else in_any_case.get(_lowered(stem))
        if image and image not in found:
            found[image] = path
        elif path.name.lower() not in NOT_LABELS and (stem.parent in folders or "labels" in _lowered(path).parts):
            found[stem] = path
    return found


def _texts(archive: Archive) -> list[PurePosixPath]:
    return [member.path for member in archive.members if member.path.suffix.lower() == ".txt"]


def _lowered(path: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(str(path).lower())


def _of_image(path: PurePosixPath) -> PurePosixPath:
    """Where the image of a label file lies: the last folder `labels` in its path is `images` there."""
    parts = list(path.with_suffix("").parts)
    for place in reversed(range(len(parts) - 1)):
        if parts[place].lower() == "labels":
            return PurePosixPath(*parts[:place], "images", *parts[place + 1 :])
    return PurePosixPath(*parts)


def read(archive: Archive, labels: dict[PurePosixPath, PurePosixPath]) -> Listing:
    """What the label files describe. Raises an InvalidInput that names the file and the line."""
    pictures = _pictures(archive)
    for stem, path in labels.items():
        if stem not in pictures:
            raise errors.ImageMissing(where=str(path), name=f"{shown(stem)}.*")
    _refuse_two(archive, labels, pictures)
    told = _read_told(archive, labels)
    images = [_read_image(archive, path, labels.get(stem), told) for stem, path in pictures.items()]
    most = max((int(image.classes.max()) for image in images if len(image.classes)), default=-1)
    return list_used("YOLO", told.names or [str(number) for number in range(most + 1)], images)


def _refuse_two(
    archive: Archive, labels: dict[PurePosixPath, PurePosixPath], pictures: dict[PurePosixPath, PurePosixPath]
) -> None:
    """Refuse two label files of one image: one beside it and one in a folder `labels`."""
    for path in _texts(archive):
        stem = _of_image(path)
        if stem in pictures and labels[stem] != path and path.name.lower() not in NOT_LABELS:
            raise errors.ImageTwice(name=str(pictures[stem]), first=path, second=labels[stem])


def _pictures(archive: Archive) -> dict[PurePosixPath, PurePosixPath]:
    """The images by their paths without suffix."""
    pictures: dict[PurePosixPath, PurePosixPath] = {}
    for member in archive.members:
        if member.path.suffix.lower() in SUFFIXES:
            stem = member.path.with_suffix("")
            if stem in pictures:
                raise errors.ImageTwice(name=str(stem), first=pictures[stem], second=member.path)
            pictures[stem] = member.path
    return pictures


def _read_image(archive: Archive, path: PurePosixPath, label: PurePosixPath | None, told: Told) -> Annotated:
    lines = Lines() if label is None else _read_lines(archive, label, told)
    return Annotated(
        path=path,
        boxes=np.array(lines.boxes, np.float64).reshape(-1, 4),
        classes=np.array(lines.classes, np.int64),
        crowd=np.zeros(len(lines.classes), bool),
        place=Place(f"{label} line ", "", lines.numbers),
        relative=True,
        part=part_of(path.parent),
    )


def _read_lines(archive: Archive, path: PurePosixPath, told: Told) -> Lines:
    lines = Lines()
    for number, line in enumerate(_text_of(archive, path, TEXT_BYTES).splitlines(), 1):
        if line.strip():
            label, box = _read_line(f"{path} line {number}", line, told)
            lines.boxes.append(box)
            lines.classes.append(label)
            lines.numbers.append(number)
    return lines


def _read_line(where: str, line: str, told: Told) -> tuple[int, list[float]]:
    words, classes = line.split(), len(told.names)
    try:
        label, numbers = int(words[0]), [float(word) for word in words[1:]]
    except ValueError as error:
        raise _bad_line(where, line) from error
    if not all(math.isfinite(number) for number in numbers):
        raise _bad_line(where, line)
    if not 0 <= label < (classes or MOST_CLASSES):
        raise errors.BadAnnotation(where=where, trouble=f"there is no class {label}: {_known(classes)}")
    if len(numbers) == 4 or (told.posed and len(numbers) > 4):
        x, y, width, height = numbers[:4]
        return label, [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    if len(numbers) >= 6 and len(numbers) % 2 == 0:  # an outline: what surrounds it is its box
        across, down = numbers[::2], numbers[1::2]
        return label, [min(across), min(down), max(across), max(down)]
    raise _bad_line(where, line)


def _known(classes: int) -> str:
    if classes == 1:
        return "the only one is 0"
    return f"there are {classes} classes, from 0" if classes else f"at most {MOST_CLASSES:,} can be read"


def _bad_line(where: str, line: str) -> errors.BadAnnotation:
    trouble = f"{shown(line)!r} is not a class and x, y, width and height in shares of the image"
    return errors.BadAnnotation(where=where, trouble=trouble)


def _read_told(archive: Archive, labels: dict[PurePosixPath, PurePosixPath]) -> Told:
    posed = False
    paths = sorted((member.path for member in archive.members), key=lambda path: (len(path.parts), str(path)))
    for path in paths:
        if path.suffix.lower() in (".yaml", ".yml"):
            content = _load(archive, path)
            posed = posed or (isinstance(content, dict) and "kpt_shape" in content)
            if names := _names_of(path, content):
                return Told(_checked(path, names), posed)
    for path in paths:
        if path.name.lower() in LISTS and path not in labels.values():
            lines = _text_of(archive, path, YAML_BYTES).splitlines()
            return Told(_checked(path, [line for line in lines if line.strip()]), posed)
    return Told([], posed)


def _load(archive: Archive, path: PurePosixPath) -> Any:
    try:
        return yaml.load(_text_of(archive, path, YAML_BYTES), Loader=TextLoader)  # noqa: S506 - it makes no objects
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise errors.AnnotationsUnreadable(file=str(path), trouble=f"{line}{shown(error.problem)}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise errors.AnnotationsUnreadable(file=str(path), trouble=shown(error)) from error


def _names_of(path: PurePosixPath, content: Any) -> list[Any]:
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        numbers = [str(number) for number in range(len(names))]
        if names.keys() != set(numbers):
            trouble = "its names are not numbered from 0 without gaps"
            raise errors.AnnotationsUnreadable(file=str(path), trouble=trouble)
        return [names[number] for number in numbers]
    if names and not isinstance(names, list):
        raise errors.AnnotationsUnreadable(file=str(path), trouble=f"its names, {shown(names)!r}, are no list")
    return names or []


def _checked(path: PurePosixPath, names: list[Any]) -> list[str]:
    if len(names) > MOST_CLASSES or not all(isinstance(name, str) for name in names):
        raise errors.AnnotationsUnreadable(file=str(path), trouble="its names are no list of texts")
    texts = [" ".join(name.split()) for name in names]
    for number, text in enumerate(texts):
        if trouble := trouble_with_name(text):
            raise errors.AnnotationsUnreadable(file=str(path), trouble=f"names[{number}]: {trouble}")
    if len(set(texts)) < len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        raise errors.AnnotationsUnreadable(file=str(path), trouble=f"more than one class is named {shown(twice)!r}")
    return texts


def _text_of(archive: Archive, path: PurePosixPath, most: int) -> str:
    content = archive.read(path)
    if len(content) > most:
        raise errors.AnnotationsUnreadable(file=str(path), trouble=f"it has more than {most:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.AnnotationsUnreadable(file=str(path), trouble="it is not text in UTF-8") from error
