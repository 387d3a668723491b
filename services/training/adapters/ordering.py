"""Quantiles: exactly up to a bound of values, beyond it of a uniform sample."""

from collections.abc import Sequence

import numpy as np

from services.training.adapters.spill import Numbers, Spill

# The same file gives the same answer.
SEED = 20_26


class ValueSamples:
    """Takes values under a name each. When more than `kept` came, each stays with the same chance, a power of a half.

    Between half of `kept` and all of it stay. A quantile of n values of a uniform sample has a rank whose standard
    error is at most 0.5 / sqrt(n).
    """

    def __init__(self, spill: Spill, kept: int) -> None:
        self._spill = spill
        self._kept = kept
        self._chances: dict[str, float] = {}
        self._random = np.random.default_rng(SEED)

    def add(self, name: str, values: Numbers) -> None:
        """Take more values of a name, all of one type: float64 or int64."""
        if name in self._chances:
            values = values[self._random.random(len(values)) < self._chances[name]]
        while self._spill.add(self._key(name), values) > self._kept:
            held = self._spill.load(self._key(name), values.dtype.type)
            self._spill.replace(self._key(name), held[self._random.random(len(held)) < 0.5])
            self._chances[name] = self._chances.get(name, 1.0) / 2
            values = values[:0]

    def quantiles(
        self, name: str, probabilities: Sequence[float], dtype: type[np.generic]
    ) -> tuple[list[int | float], bool]:
        """The values below which these parts lie, and whether they are estimates; none where no value came."""
        values = self._spill.load(self._key(name), dtype)
        if not len(values):
            return [], False
        places = [probability * (len(values) - 1) for probability in probabilities]
        values.partition(sorted({neighbour for place in places for neighbour in _neighbours(place, len(values))}))
        return [_at(values, place) for place in places], name in self._chances

    def forget(self, name: str) -> None:
        """Begin a name from nothing again."""
        self._spill.forget(self._key(name))
        self._chances.pop(name, None)

    @staticmethod
    def _key(name: str) -> str:
        return f"values of {name}"


def _neighbours(place: float, length: int) -> tuple[int, int]:
    return int(place), min(int(place) + 1, length - 1)


def _at(values: Numbers, place: float) -> int | float:
    lower, upper = (values[neighbour].item() for neighbour in _neighbours(place, len(values)))
    part = place - int(place)
    if lower == upper or not part:
        between: int | float = lower
    elif isinstance(lower, int):
        between = lower + round((upper - lower) * part)
    else:
        between = lower * (1 - part) + upper * part  # the difference of the two may be too large for a float
    return between
