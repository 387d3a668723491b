"""Measures what was found against what is there, by the definitions of COCO in its own implementation."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

# A precision is measured over all scores; what is less sure than this adds nothing.
LEAST_SCORE = 0.01
MOST_FOUND = 100
HALF, THREE_QUARTERS = 0, 5  # places of the overlaps 0.5 and 0.75 among 0.5, 0.55, … 0.95

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Truth:
    """What is in an image: boxes n × 4 (x_min, y_min, x_max, y_max), their classes, and which stand for crowds."""

    boxes: Numbers
    classes: Numbers
    crowd: Numbers

    def told(self, place: int) -> dict[str, Any]:
        """What is told of one box besides."""
        return {"iscrowd": int(self.crowd[place])}


@dataclass(frozen=True)
class Answer:
    """What was found in an image: scores, classes and boxes n × 4."""

    scores: Numbers
    classes: Numbers
    boxes: Numbers

    def told(self, place: int) -> dict[str, Any]:
        """What is told of one box besides."""
        return {"iscrowd": 0, "score": float(self.scores[place])}


@dataclass(frozen=True)
class Measured:
    """What it came to. Precision is of overlap × recall × class, -1 where a class is nowhere; recall of overlap ×
    class."""

    precision: Numbers
    recall: Numbers
    image_counts: list[int]
    box_counts: list[int]

    @property
    def metrics(self) -> dict[str, float]:
        """Means over the classes that are there; none where there is no box."""
        if not sum(self.box_counts):
            return {}
        return {
            "map_50": _mean(self.precision[HALF]),
            "map": _mean(self.precision),
            "map_75": _mean(self.precision[THREE_QUARTERS]),
            "recall": _mean(self.recall),
        }

    def per_class(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Of each class its average precision, None where it is nowhere, and in how much it was."""
        return [
            {
                "class": name,
                "ap_50": _mean(self.precision[HALF, :, place]) if self.box_counts[place] else None,
                "ap": _mean(self.precision[:, :, place]) if self.box_counts[place] else None,
                "images": self.image_counts[place],
                "boxes": self.box_counts[place],
            }
            for place, name in enumerate(names)
        ]

    def curves(self, names: Sequence[str]) -> dict[str, dict[str, list[float]]]:
        """Of each class that is there, the precision at overlap 0.5 for each recall of 0, 0.01, … 1."""
        recall = np.linspace(0, 1, self.precision.shape[1]).round(2).tolist()
        return {
            name: {"recall": recall, "precision": self.precision[HALF, :, place].round(4).tolist()}
            for place, name in enumerate(names)
            if self.box_counts[place]
        }


def measure(truths: Sequence[Truth], answers: Sequence[Answer], classes: int) -> Measured:
    """Compare answers with truths, image by image."""
    alone = [truth.classes[~truth.crowd] for truth in truths]
    images = [sum(place in each for each in alone) for place in range(classes)]
    boxes = [sum(int((each == place).sum()) for each in alone) for place in range(classes)]
    with redirect_stdout(io.StringIO()):  # it prints what it does
        judged = COCOeval(_as_coco(truths, classes), _as_coco(answers, classes), "bbox")
        judged.params.areaRng, judged.params.areaRngLbl = [[0, 1e10]], ["all"]
        judged.params.maxDets = [MOST_FOUND]
        judged.params.catIds, judged.params.imgIds = list(range(classes)), list(range(len(truths)))
        judged.evaluate()
        judged.accumulate()
    return Measured(judged.eval["precision"][..., 0, 0], judged.eval["recall"][..., 0, 0], images, boxes)


def _as_coco(images: Sequence[Truth | Answer], classes: int) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in range(len(images))],
        "categories": [{"id": number} for number in range(classes)],
        "annotations": [{"id": place, **annotation} for place, annotation in enumerate(_annotations(images), 1)],
    }
    coco.createIndex()
    return coco


def _annotations(images: Sequence[Truth | Answer]) -> list[dict[str, Any]]:
    found = []
    for number, image in enumerate(images):
        for place, ((left, top, right, bottom), label) in enumerate(zip(image.boxes, image.classes, strict=True)):
            width, height = float(right - left), float(bottom - top)
            box = {"bbox": [float(left), float(top), width, height], "area": width * height}
            found.append({"image_id": number, "category_id": int(label), **box, **image.told(place)})
    return found


def _mean(values: Numbers) -> float:
    there = values[values > -1]
    return float(there.mean()) if there.size else 0.0
