"""Answers for an image with a model out of a package, by the code that is in the package."""

from io import BufferedIOBase
from pathlib import Path
from typing import Any

from services.training.domain import errors
from services.training.domain.answers import AnswersHeader, Detection, RowFormat, RowsHeader
from services.training.domain.model import ProblemType
from services.training.workloads.detection.templates.load_model import Detector, load_unchecked
from services.training.workloads.kit.pictures import open_picture


def load_model(package: Path, manifest: dict[str, Any]) -> "DetectionModel":
    """The model of an unpacked package, ready to answer. Raises PackageBroken."""
    if manifest.get("problem_type") != ProblemType.OBJECT_DETECTION:
        raise errors.PackageBroken(trouble="it finds nothing in images")
    return DetectionModel(load_unchecked(package))


class DetectionModel:
    """Implements PackagedModel."""

    takes_columns = False

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def answer(self, rows: RowsHeader, content: BufferedIOBase) -> tuple[AnswersHeader, bytes]:
        """What is in an image, best first; UnfitInput for anything else, UnreadableImage for one that is damaged."""
        if rows.row_format is not RowFormat.IMAGE:
            raise errors.UnfitInput(takes="one image", given="rows of a table")
        image = content.read()
        if not image:
            raise errors.UnreadableImage(trouble="there is none in the body")
        found = self._detector.detect(open_picture(image))
        detections = [Detection(0, one.class_index, one.score, *one.box) for one in found]
        classes = self._detector.config.classes
        return AnswersHeader(1, ProblemType.OBJECT_DETECTION, list(classes), detections), b""
