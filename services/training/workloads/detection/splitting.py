"""Settles which images are learned from, which find the best epoch, and which the model is measured on."""

from dataclasses import dataclass, replace

import numpy as np

from services.training.domain.errors import BadLayout
from services.training.workloads.detection.annotations import Listing
from services.training.workloads.detection.parameters import Parameters
from services.training.workloads.kit.splitting import Rows, split_rows

# With fewer to learn from, none are spared to find the best epoch.
LEAST_TO_VALIDATE = 20


@dataclass(frozen=True)
class Parts:
    """Positions of images among all, each part in order; and who parted them."""

    train: Rows
    validation: Rows
    test: Rows
    method: str


def leave_out_strays(listing: Listing) -> Listing:
    """Without what is in none of the parts that an archive tells. BadLayout where there is something to find in it."""
    parts = _told_parts(listing)
    if not parts:
        return listing
    boxed = [image.path for image in listing.images if image.has_boxes and image.part not in parts]
    if boxed:
        raise BadLayout(
            trouble=f"it has the parts {', '.join(sorted(parts))}, and images with boxes in none of them: "
            f"{len(boxed):,}, the first of them {str(boxed[0])!r}. Put each into train, val or test, or remove it."
        )
    return replace(listing, images=[image for image in listing.images if image.part in parts])


def _told_parts(listing: Listing) -> set[str]:
    """The parts that hold something to find; none where they are not some to learn from and some to measure on."""
    parts = {image.part for image in listing.images if image.part and image.has_boxes}
    return parts if "train" in parts and len(parts) > 1 else set()


def settle_parts(listing: Listing, parameters: Parameters) -> Parts:
    """As the archive parts its images, where it holds some with boxes to learn from and some to measure on; otherwise
    at random, so that each class is in every part as far as there are images."""
    told = np.array([image.part for image in listing.images])
    boxed = np.array([image.has_boxes for image in listing.images])
    parts, kinds = _told_parts(listing), _kinds(listing)
    if parts:
        held = "test" if "test" in parts else "val"
        train, test = np.flatnonzero(told == "train"), np.flatnonzero(told == held)
        if len(parts) == 3:
            return Parts(train, np.flatnonzero(told == "val"), test, "as in the archive")
        return Parts(*_spare(train, kinds, boxed, parameters), test, "as in the archive")
    train, test = _hold_out(np.arange(len(told)), kinds, boxed, parameters.test_fraction, parameters.seed)
    return Parts(*_spare(train, kinds, boxed, parameters), test, "random images of each class")


def _kinds(listing: Listing) -> Rows:
    """Of each image, the rarest of the classes in it; -1 where there is none."""
    counts = np.zeros(len(listing.classes), np.int64)
    for image in listing.images:
        np.add.at(counts, np.unique(image.classes[~image.crowd]), 1)
    return np.array(
        [
            min(image.classes[~image.crowd], key=lambda label: (counts[label], label)) if image.has_boxes else -1
            for image in listing.images
        ],
        dtype=np.int64,
    )


def _spare(train: Rows, kinds: Rows, boxed: np.ndarray, parameters: Parameters) -> tuple[Rows, Rows]:
    """Of those to learn from, the ones that are learned from and the ones that find the best epoch, if both can have a
    box."""
    alone = boxed[train].sum() < 2
    if alone or len(train) < LEAST_TO_VALIDATE or not parameters.validation_fraction:
        return train, train[:0]
    return _hold_out(train, kinds, boxed, parameters.validation_fraction, parameters.seed)


def _hold_out(rows: Rows, kinds: Rows, boxed: np.ndarray, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Some rows and the others, with a box in both."""
    split = split_rows(kinds[rows], True, fraction, seed)
    kept, held = rows[split.train], rows[split.test]
    if boxed[held].any() and boxed[kept].any():
        return kept, held
    # Hardly any image has a box, or each is alone of its kind: those with boxes are parted, whatever their kind.
    split = split_rows(rows[boxed[rows]], False, fraction, seed)
    held = rows[boxed[rows]][split.test]
    return np.setdiff1d(rows, held), held
