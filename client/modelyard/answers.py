"""Predictions as a CSV table, as `predict.py` of a packaged model writes it."""

import csv
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from modelyard.records import Predictions


def write_predictions(found: Predictions, out: TextIO) -> None:
    """One line a row: the prediction, and for classes the probability of each; or one line a thing found."""
    chances = found.probabilities or ({},) * len(found.predictions)
    writer = csv.writer(out, lineterminator="\n")
    if any(isinstance(answer, tuple) for answer in found.predictions):
        writer.writerow(["image", "class", "score", "x_min", "y_min", "x_max", "y_max"])
        writer.writerows(_lines_of(found))
        return
    writer.writerow(["prediction", *(f"probability_{name}" for name in (chances[0] if chances else ()))])
    for answer, each in zip(found.predictions, chances, strict=True):
        writer.writerow([answer, *each.values()])


def _lines_of(found: Predictions) -> Iterator[list[Any]]:
    for image, things in enumerate(found.predictions):
        for thing in things if isinstance(things, tuple) else ():
            yield [image, thing.label, thing.score, *thing.box]


@contextmanager
def written(path: Path) -> Iterator[TextIO]:
    """A text file that appears under its name when the block has written it whole, and not at all when it fails."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
