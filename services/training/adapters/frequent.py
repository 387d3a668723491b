"""The most frequent values of a column, in bounded memory."""

import heapq
from collections.abc import Iterable

import numpy as np

from services.training.adapters.spill import Numbers

CANDIDATES = 30_000
CANDIDATES_OF_ALL = 300_000
LONGEST = 200


def candidates_for(columns: int) -> int:
    """How many values may be counted of each of so many columns."""
    return max(100, min(CANDIDATES, CANDIDATES_OF_ALL // max(1, columns)))


class FrequentValues:
    """Counts values, so many at a time; exact while there are no more.

    Beyond that it is the summary of Misra and Gries, merged as Agarwal and others do: counts are lower bounds, and
    none is too low by more than `error`. Values longer than LONGEST are not counted.
    """

    def __init__(self, candidates: int = CANDIDATES) -> None:
        self.error = 0
        self._candidates = candidates
        self._counts: dict[str, int] = {}

    def add(self, values: Numbers, counts: Numbers) -> None:
        """Take values, each once, and how often each of them came."""
        values, counts = self._reduced(values, counts)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            if len(value) <= LONGEST:
                self._counts[value] = self._counts.get(value, 0) + count
        if len(self._counts) > self._candidates:
            merged = np.fromiter(self._counts.values(), dtype=np.int64, count=len(self._counts))
            names = np.array([*self._counts, None], dtype=object)[:-1]  # an array of texts, whatever they are
            self._counts = _as_dict(*self._reduced(names, merged))

    def top(self, count: int) -> list[tuple[str, int]]:
        """The most frequent, then by the alphabet."""
        return heapq.nsmallest(count, self._counts.items(), key=lambda item: (-item[1], item[0]))

    def _reduced(self, values: Numbers, counts: Numbers) -> tuple[Numbers, Numbers]:
        if len(counts) <= self._candidates:
            return values, counts
        place = len(counts) - self._candidates - 1
        lost = int(np.partition(counts, place)[place])
        self.error += lost
        left = counts > lost
        return values[left], counts[left] - lost


def _as_dict(values: Iterable[str], counts: Numbers) -> dict[str, int]:
    return dict(zip(values, counts.tolist(), strict=True))
