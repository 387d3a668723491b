"""Predictions as a CSV table, as `predict.py` of a packaged model writes it."""

import csv
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from modelyard.records import Predictions


def write_predictions(found: Predictions, out: TextIO) -> None:
    """One line a row: the prediction, and for classes the probability of each."""
    chances = found.probabilities or ({},) * len(found.predictions)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["prediction", *(f"probability_{name}" for name in (chances[0] if chances else ()))])
    for answer, each in zip(found.predictions, chances, strict=True):
        writer.writerow([answer, *each.values()])


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
