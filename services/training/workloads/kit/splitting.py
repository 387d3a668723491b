"""Settles which rows are held out."""

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Positions of the rows to learn from and of those held out, each in order."""

    train: Rows
    test: Rows


def split_rows(labels: npt.NDArray[Any], classes: bool, fraction: float, seed: int) -> Split:
    """Hold out a share of the rows, at least one; the same seed and labels hold out the same.

    With classes, each gives its share, and its last row is never held out.
    """
    random = np.random.default_rng(seed)
    wanted = max(1, ceil(len(labels) * fraction - 1e-9))
    held = _pick_by_class(labels, wanted, random) if classes else random.permutation(len(labels))[:wanted]
    out = np.zeros(len(labels), dtype=bool)
    out[held] = True
    return Split(np.flatnonzero(~out), np.flatnonzero(out))


def _pick_by_class(labels: npt.NDArray[Any], wanted: int, random: np.random.Generator) -> Rows:
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shares = _apportion(counts, wanted)
    order = random.permutation(len(labels))
    by_class = order[np.argsort(codes[order], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    picked = [by_class[start : start + share] for start, share in zip(starts, shares, strict=True)]
    return np.concatenate(picked)


def _apportion(counts: npt.NDArray[Any], wanted: int) -> npt.NDArray[Any]:
    """Rows to hold out of each class: its share, rounded so that the sum is what is wanted as far as there are rows."""
    spare = counts - 1
    quota = counts * wanted / counts.sum()
    shares = np.minimum(np.floor(quota).astype(np.int64), spare)
    for place in np.argsort(shares - quota, kind="stable"):
        if shares.sum() >= wanted:
            break
        shares[place] += int(shares[place] < spare[place])
    apportioned: npt.NDArray[Any] = shares
    return apportioned
