"""A quick pipeline without its wrapping: for one row, what is around the trees takes as long as they do."""

from itertools import zip_longest
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

Matrix: TypeAlias = npt.NDArray[np.float64]


class Unwrapped:
    """The steps of a quick pipeline, put together by hand."""

    def __init__(self, pipeline: Any) -> None:
        self._trees = pipeline.named_steps["trees"]
        self._codes = _codes_of(pipeline.named_steps["encoder"])
        self.classes_ = getattr(self._trees, "classes_", [])

    def predict(self, rows: pd.DataFrame) -> npt.NDArray[Any]:
        """As the pipeline."""
        return np.asarray(self._trees.predict(self._encoded(rows)))

    def predict_proba(self, rows: pd.DataFrame) -> Matrix:
        """As the pipeline."""
        return np.asarray(self._trees.predict_proba(self._encoded(rows)))

    def _encoded(self, rows: pd.DataFrame) -> Matrix:
        """Columns side by side, text first and as numbers."""
        if not self._codes:
            return rows.to_numpy("float64")
        texts = [np.fromiter(map(codes.__getitem__, rows[name].tolist()), float) for name, codes in self._codes.items()]
        return np.column_stack([*texts, *(rows[name] for name in rows if name not in self._codes)])


class _Codes(dict[Any, float]):
    """Values that were known in training, each with its number; of any other, nothing is known."""

    def __missing__(self, value: object) -> float:
        return np.nan


def _codes_of(encoder: Any) -> dict[str, _Codes]:
    """For each column of text, its values and their numbers."""
    _, ordinal, names = encoder.transformers_[0]
    if not names:
        return {}
    known = pd.DataFrame(zip_longest(*ordinal.categories_, fillvalue=None), columns=names, dtype=object)
    numbers = ordinal.transform(known).T
    return {
        name: _Codes(zip(categories, column[: len(categories)].tolist(), strict=True))
        for name, categories, column in zip(names, ordinal.categories_, numbers, strict=True)
    }
