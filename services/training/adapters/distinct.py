"""Counts distinct values: exactly up to a bound, beyond it by adaptive sampling."""

import numpy as np

from services.training.adapters.spill import Numbers, Spill

ALL_HASHES = 2**64


class DistinctCounter:
    """Takes values as 64-bit hashes, under a name each.

    Two of ten million distinct values share a hash with a chance of three in a million. When more than `kept` are
    distinct, only hashes below a threshold stay, and how many they are tells how many there must be in all (Wegman's
    adaptive sampling, as Flajolet describes it): the standard error is about 1 / sqrt(kept / 2).
    """

    def __init__(self, spill: Spill, kept: int) -> None:
        self._spill = spill
        self._kept = kept
        self._thresholds: dict[str, int] = {}

    def add(self, name: str, hashes: Numbers) -> None:
        """Take more values of a name; some may have come before."""
        if name in self._thresholds:
            hashes = hashes[hashes < np.uint64(self._thresholds[name])]
        if self._spill.add(self._key(name), hashes) > 2 * self._kept:
            self._spill.replace(self._key(name), self._sampled(name))

    def count(self, name: str) -> tuple[int, bool]:
        """How many distinct values came under a name, and whether that is an estimate."""
        found = len(self._sampled(name))
        threshold = self._thresholds.get(name, ALL_HASHES)
        return round(found * (ALL_HASHES / threshold)), threshold < ALL_HASHES

    def forget(self, name: str) -> None:
        """Count a name from nothing again."""
        self._spill.forget(self._key(name))
        self._thresholds.pop(name, None)

    def _sampled(self, name: str) -> Numbers:
        hashes = _unique(self._spill.load(self._key(name), np.uint64))
        while len(hashes) > self._kept:
            self._thresholds[name] = self._thresholds.get(name, ALL_HASHES) // 2
            hashes = hashes[: np.searchsorted(hashes, np.uint64(self._thresholds[name]))].copy()
        return hashes

    @staticmethod
    def _key(name: str) -> str:
        return f"hashes of {name}"


def _unique(hashes: Numbers) -> Numbers:
    """As numpy's, in less memory; it may sort in place, since what is loaded is ours."""
    hashes.sort()
    firsts = np.ones(len(hashes), dtype=bool)
    np.not_equal(hashes[1:], hashes[:-1], out=firsts[1:])
    return np.compress(firsts, hashes)
