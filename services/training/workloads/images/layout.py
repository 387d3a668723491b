"""Finds classes and images in an archive by its folders."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

from services.training.domain import errors
from services.training.workloads.kit.archive import Archive, Member
from services.training.workloads.kit.naming import MOST_NAME, is_class_name
from services.training.workloads.kit.suffixes import SUFFIXES

FEWEST_IMAGES = 4
FEWEST_OF_CLASS = 2
MOST_CLASSES = 1000
HEAD_BYTES = 64 * 1024
SHOWN = 10
# How a text of labels begins: a class, and the box in shares of the image.
YOLO_LINE = re.compile(rb"\s*\d+([ \t]+[-+.\deE]+){4}")

# The folders of Pascal VOC. One of them may be the name of a class.
VOC_FOLDERS = frozenset({"annotations", "imagesets", "jpegimages", "segmentationclass", "segmentationobject"})

# What the folders of a split are called, in any case.
TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = {
    "train": TRAIN, "training": TRAIN,
    "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
    "test": TEST, "testing": TEST,
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """An image in an archive: its path, its class, and the part of a given split that it is of; "" without one."""

    path: PurePosixPath
    label: str
    part: str = ""


def find_images(archive: Archive) -> list[Found]:
    """The images of an archive, by path. BadLayout tells what is amiss."""
    images = [member for member in archive.members if member.path.suffix.lower() in SUFFIXES]
    paths = [image.path for image in images]
    _refuse_detection(archive, paths)
    if not images:
        raise errors.BadLayout(trouble=f"it has no image ({', '.join(sorted(SUFFIXES))}). {ADVICE}")
    shared = _shared_folders(paths)
    parts = _parts_of([PurePosixPath(*path.parts[shared:]) for path in paths])
    return [_find(image, shared, parts) for image in images]


ADVICE = "Put the images of each class into a folder of its own, named as the class."


def check_classes(images: list[Found]) -> list[str]:
    """The classes of images, in order. BadLayout where there are too few of anything, or too many."""
    learned = Counter(image.label for image in images if image.part in ("", TRAIN))
    labels = sorted({image.label for image in images})
    if len(labels) < 2:
        raise errors.BadLayout(trouble=f"there is one class only, {labels[0]!r}. {ADVICE}")
    if len(labels) > MOST_CLASSES:
        raise errors.BadLayout(trouble=f"it has {len(labels):,} classes, and at most {MOST_CLASSES:,} can be learned.")
    if len(images) < FEWEST_IMAGES:
        few = f"it has {len(images)} images, and training needs at least {FEWEST_IMAGES}. Add more of each class."
        raise errors.BadLayout(trouble=few)
    _check_counts(labels, learned)
    _check_parts(images)
    return labels


def _check_counts(labels: list[str], learned: Counter[str]) -> None:
    if unknown := [label for label in labels if label not in learned]:
        raise errors.BadLayout(
            trouble=f"the folder train has no image of the class {_listed(unknown)}. Add images of it there, or remove "
            "its other images."
        )
    if single := [label for label in labels if learned[label] < FEWEST_OF_CLASS]:
        classes = "class" if len(single) == 1 else "classes"
        raise errors.BadLayout(
            trouble=f"the {classes} {_listed(single)} {'has' if len(single) == 1 else 'have'} one image to learn from, "
            f"and each needs at least {FEWEST_OF_CLASS}. Add more, or remove the folder."
        )


def _check_parts(images: list[Found]) -> None:
    if images[0].part and not any(image.part == TEST for image in images):
        raise errors.BadLayout(trouble="no image is left in its folder test. Add some, or remove the folder.")


def _shared_folders(paths: list[PurePosixPath]) -> int:
    """How many folders enclose all: those above the one that gives the class. An image beside that one has no class."""
    shared = 0
    while any(len(path.parts) > shared + 2 for path in paths):
        names = {path.parts[shared] for path in paths}
        if len(names) > 1:
            break
        shared += 1
    return shared


def _parts_of(paths: list[PurePosixPath]) -> dict[str, str]:
    """Top folder to the part of a split that it is; empty where the archive does not split its images. BadLayout where
    it splits some of them only."""
    flat = {path.parts[0]: path for path in reversed(paths) if len(path.parts) == 2}
    tops = sorted({path.parts[0] for path in paths if len(path.parts) > 1})
    parts = {top: SPLITS[top.lower()] for top in tops if top.lower() in SPLITS}
    nested = {path.parts[0] for path in paths if len(path.parts) > 2}
    all_parts = len(parts) == len(tops) > 1  # then a stray image makes no class of one
    learned = [top for top, part in parts.items() if part == TRAIN and top in nested]
    train = next((top for top in learned if all_parts or top not in flat), "")
    if not train:
        return {}
    for top in tops:
        _check_part(top, train, flat.get(top))
    if TEST not in parts.values():  # what is held out has many names
        parts = {top: TEST if part == VALIDATION else part for top, part in parts.items()}
    return parts


def _check_part(top: str, train: str, flat: PurePosixPath | None) -> None:
    """Refuse what stands beside the folders of a split and is none, or is one and has an image in no class."""
    if top.lower() not in SPLITS:
        raise errors.BadLayout(
            trouble=f"beside the folder {train!r}, which has a folder for each class, stands {top[:MOST_NAME]!r}, "
            f"which is neither val nor test. Name it so, or remove it. If {train!r} is a class, put its images "
            "directly into it."
        )
    if flat:
        raise errors.BadLayout(
            trouble=f"the folder {top!r} holds {flat.name[:MOST_NAME]!r} in no folder of a class, where {train!r} has "
            f"one for each. Put the images of {top!r} into folders of their classes, or remove those."
        )


def _find(image: Member, shared: int, parts: dict[str, str]) -> Found:
    inner = image.path.parts[shared:]
    part = parts.get(inner[0], "")
    folder, *rest = inner[1:] if part else inner
    if not rest:
        raise errors.BadLayout(trouble=f"the image {str(image.path)!r} is in no folder of a class. {ADVICE}")
    label = " ".join(folder.split())
    if not is_class_name(label):
        raise errors.BadLayout(
            trouble=f"{folder[:MOST_NAME]!r} is no name for a class, which has 1 to {MOST_NAME} characters that can be "
            "printed. Give its folder another name."
        )
    if image.is_guessed and _is_garbled(label):
        raise errors.BadLayout(
            trouble=f"the name of a class was read as {label!r}, and the archive does not tell its encoding. Make it "
            "with a program that writes names in UTF-8, or give the folder a name in plain letters."
        )
    return Found(image.path, label, part)


def _is_garbled(name: str) -> bool:
    """Whether a name whose encoding was guessed has signs that no Latin language writes: it was in another one."""
    return not all(letter.isascii() or (letter.isalpha() and letter <= "\xff") for letter in name)


def _refuse_detection(archive: Archive, images: list[PurePosixPath]) -> None:
    """Refuse what was made to learn where things are, and say what it is for."""
    layout = _detection_layout(archive, images)
    if layout:
        advice = "Save it as COCO or YOLO and ask" if layout == "Pascal VOC" else "Ask"
        raise errors.BadLayout(
            trouble=f"it looks like a data set of objects in images, in the layout of {layout}. {advice} for the "
            "workload 'object_detection', or send one folder of images for each class."
        )


def _detection_layout(archive: Archive, images: list[PurePosixPath]) -> str:
    for member in archive.members:
        suffix = member.path.suffix.lower()
        if suffix == ".txt" and "labels" in (part.lower() for part in member.path.parts[:-1]):
            return "YOLO"
        if suffix == ".json" and _is_coco(archive.head(member.path, HEAD_BYTES)):
            return "COCO"
        if suffix == ".xml" and _is_voc(archive.head(member.path, HEAD_BYTES)):
            return "Pascal VOC"
    if len(VOC_FOLDERS & {part.lower() for path in images for part in path.parts[:-1]}) > 1:
        return "Pascal VOC"
    return "YOLO" if _has_labels_beside(archive, images) else ""


def _has_labels_beside(archive: Archive, images: list[PurePosixPath]) -> bool:
    """Whether most images have a text of the same name beside them, and the first that is not empty tells of boxes: it
    might be what is said of an image."""
    stems = {path.with_suffix("") for path in images}
    texts = [member.path for member in archive.members if member.path.suffix.lower() == ".txt"]
    beside = [path for path in texts if path.with_suffix("") in stems]
    if 2 * len(beside) <= len(stems):
        return False
    heads = (archive.head(path, HEAD_BYTES) for path in beside)
    return YOLO_LINE.match(next((head for head in heads if head.strip()), b"")) is not None


def _is_coco(head: bytes) -> bool:
    """Whether a JSON file begins as annotations do, whose lists stand in any order."""
    return b'"annotations"' in head or b'"bbox"' in head or (b'"images"' in head and b'"file_name"' in head)


def _is_voc(head: bytes) -> bool:
    """Whether an XML file begins as annotations do, one for each image."""
    return b"<annotation" in head and b"<bndbox" in head


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + rest
