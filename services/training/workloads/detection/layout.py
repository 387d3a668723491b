"""Finds out in which layout an archive of annotated images is, and reads it."""

from pathlib import PurePosixPath
from typing import Any

from services.training.domain.errors import BadLayout
from services.training.workloads.detection import coco, errors, yolo
from services.training.workloads.detection.annotations import Listing
from services.training.workloads.kit.archive import Archive
from services.training.workloads.kit.suffixes import SUFFIXES

LEAST_IMAGES = 4
LEAST_WITH_BOXES = 2


def read_listing(archive: Archive) -> Listing:
    """What an archive holds; an InvalidInput where it is in no layout that is known, or holds too little to learn."""
    listing = _read(archive)
    with_boxes = sum(image.has_boxes for image in listing.images)
    if len(listing.images) < LEAST_IMAGES:
        raise errors.TooFewImages(found=len(listing.images), which="that are annotated", minimum=LEAST_IMAGES)
    if not with_boxes:
        raise errors.NoBoxes(images=len(listing.images))
    if with_boxes < LEAST_WITH_BOXES:
        raise errors.TooFewImages(found=with_boxes, which="with boxes", minimum=LEAST_WITH_BOXES)
    for image in listing.images:
        if image.size or image.relative:
            image.within(*(image.size or (1, 1)))
    return listing


def _read(archive: Archive) -> Listing:
    images = [member.path for member in archive.members if member.path.suffix.lower() in SUFFIXES]
    if not images:
        raise BadLayout(trouble="there is no image in it. Send images with annotations in COCO or YOLO layout.")
    labels = yolo.label_files(archive)
    has_labels = bool(labels.keys() & {path.with_suffix("") for path in images})
    files = _annotation_files(archive, forgiving=has_labels)
    if files:
        return coco.read(archive, files)
    if labels:
        return yolo.read(archive, labels)
    raise BadLayout(trouble=_advice(archive, images))


def _annotation_files(archive: Archive, forgiving: bool) -> dict[PurePosixPath, Any]:
    """The JSON files in the way of COCO; with forgiving, one that is broken is taken for something else."""
    found = {}
    for member in archive.members:
        if member.path.suffix.lower() == ".json":
            try:
                content = coco.parse(archive, member.path)
            except errors.AnnotationsUnreadable:
                if forgiving:
                    continue
                raise
            if coco.is_annotations(content):
                found[member.path] = content
    return found


def _advice(archive: Archive, images: list[PurePosixPath]) -> str:
    folders, stems = {path.parent for path in images}, {path.stem for path in images}
    if any(member.path.suffix.lower() == ".xml" and member.path.stem in stems for member in archive.members):
        return (
            "there are images and XML files of the same names, as in the layout of Pascal VOC, which is not read. "
            "Convert them to COCO or YOLO layout."
        )
    if len(folders) > 1 and all(folder.parts for folder in folders):
        return (
            "there are folders of images and no boxes. If each folder is a class, ask for the task_type "
            "image_classification; to find things in images, add their boxes in COCO or YOLO layout."
        )
    return (
        "there are images and no annotations. Add a JSON file with images, annotations and categories (COCO), or a "
        "text file of labels for each image, beside it or in a folder named labels (YOLO)."
    )
