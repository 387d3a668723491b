"""Answers for images with a model out of a package, by the code that the package itself runs on."""

from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from services.training.domain import errors
from services.training.domain.answers import AnswersHeader, RowFormat, RowsHeader
from services.training.domain.model import ProblemType
from services.training.workloads.images.templates.load_model import Model, load_checked
from services.training.workloads.kit.pictures import open_picture


def load_model(package: Path, manifest: dict[str, Any]) -> "ImageModel":
    """The model of an unpacked package, ready to answer. Raises PackageBroken."""
    try:
        return ImageModel(manifest, load_checked(package, manifest))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise errors.PackageBroken(trouble=" ".join(str(error).split())[:200]) from error


class ImageModel:
    """Implements PackagedModel."""

    takes_columns = False

    def __init__(self, manifest: dict[str, Any], model: Model) -> None:
        self._model = model
        self._problem_type = ProblemType(manifest["problem_type"])

    def answer(self, rows: RowsHeader, content: BufferedIOBase) -> tuple[AnswersHeader, bytes]:
        """What the model answers for one image. Raises UnfitInput for rows of a table, and UnreadableImage."""
        if rows.row_format is not RowFormat.IMAGE:
            raise errors.UnfitInput(takes="one image", given="rows of a table")
        image = content.read()
        if not image:
            raise errors.UnreadableImage(trouble="there is none in the body")
        picture = open_picture(image, near=self._model.image_size)
        chances = self._model.predict_proba([picture])
        header = AnswersHeader(1, self._problem_type, self._model.classes)
        return header, chances.argmax(axis=1).astype(np.int32).tobytes() + chances.tobytes()
