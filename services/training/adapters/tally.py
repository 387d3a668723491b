"""What is counted and measured of one column while its values pass. For worker processes only: it brings pandas."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from services.training.adapters.cells import EXACT_INTEGERS, plain
from services.training.adapters.distinct import DistinctCounter
from services.training.adapters.frequent import FrequentValues, candidates_for
from services.training.adapters.ordering import ValueSamples
from services.training.adapters.spill import Numbers, Spill, room_for
from services.training.domain.inspection import PROBABILITIES, ColumnKind, Quantile, Scalar, Statistics, ValueCount

TOP = 10
NANOSECONDS = 10**9
# Sets the hashes of numbers that are no floats apart from those that are.
BEYOND_FLOATS = np.uint64(0x9E3779B97F4A7C15)

BEGINS_AS_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:?\d\d|$)")
DATE_LETTERS = len("2024-02-29")
HAS_OFFSET = re.compile(r"(?:Z|[+-]\d\d(?::?\d\d)?)$")

Present: TypeAlias = "pd.Series[Any]"


class Stores:
    """Where the columns of one table keep what is too much for memory."""

    def __init__(self, folder: Path, columns: int) -> None:
        spill, kept = Spill(folder), room_for(columns)
        self.distinct = DistinctCounter(spill, kept)
        self.samples = ValueSamples(spill, kept)
        self.candidates = candidates_for(columns)

    def forget(self, name: str) -> None:
        """Keep nothing of a column."""
        self.distinct.forget(name)
        self.samples.forget(name)


@dataclass
class _Range:
    """Least, greatest and sum of what passed."""

    least: Any = None
    greatest: Any = None
    total: Any = 0
    count: int = 0

    def add(self, least: Any, greatest: Any, total: Any, count: int) -> None:
        self.least = least if self.least is None else min(self.least, least)
        self.greatest = greatest if self.greatest is None else max(self.greatest, greatest)
        self.total += total
        self.count += count


class NumberTally:
    """Of a column of numbers."""

    def __init__(self, name: str, stores: Stores) -> None:
        self.beyond_floats = False
        self._name = name
        self._stores = stores
        self._range = _Range()

    def add(self, present: Present) -> None:
        """See the next values; none is missing."""
        values = present.to_numpy()
        with np.errstate(all="ignore"):  # infinities
            floats = values.astype(np.float64, copy=False)
            self._range.add(values.min().item(), values.max().item(), float(floats.sum()), len(values))
        self._stores.samples.add(self._name, floats)
        self._stores.distinct.add(self._name, self._hashes(np.asarray(present.unique())))

    def statistics(self) -> Statistics:
        """What they are like."""
        found, estimated = self._stores.samples.quantiles(self._name, PROBABILITIES, np.float64)
        return Statistics(
            kind=ColumnKind.NUMBER,
            least=plain(self._range.least),
            greatest=plain(self._range.greatest),
            mean=plain(self._range.total / self._range.count),
            quantiles=_quantiles([plain(value) for value in found]),
            quantiles_estimated=estimated,
        )

    def _hashes(self, unique: Numbers) -> Numbers:
        """1 and 1.0 have the same; the two zeros, too."""
        hashes = pd.util.hash_array(unique.astype(np.float64) + 0.0, categorize=False)
        if unique.dtype.kind == "f":
            return hashes
        beyond = unique > EXACT_INTEGERS
        if unique.dtype.kind == "i":
            beyond |= unique < -EXACT_INTEGERS
        if beyond.any():
            self.beyond_floats = True
            hashes[beyond] = pd.util.hash_array(unique[beyond], categorize=False) ^ BEYOND_FLOATS
        return hashes


class TextTally:
    """Of a column of texts, which may all be times."""

    def __init__(self, name: str, stores: Stores) -> None:
        self._name = name
        self._stores = stores
        self._frequent = FrequentValues(stores.candidates)
        self._times: _Range | None = _Range()
        self._offsets = True

    def add(self, present: Present) -> None:
        """See the next values; none is missing."""
        counted = present.value_counts(sort=False)
        values, counts = counted.index.to_numpy(dtype=object), counted.to_numpy(dtype=np.int64)
        self._stores.distinct.add(self._name, pd.util.hash_array(values, categorize=False))
        self._frequent.add(values, counts)
        if self._times is not None:
            self._see_times(self._times, values, counts)

    def statistics(self) -> Statistics:
        """What they are like."""
        return self._of_texts() if self._times is None else self._of_times(self._times)

    def _see_times(self, times: _Range, values: Numbers, counts: Numbers) -> None:
        moments = _moments(values)
        if moments is None:
            self._times = None
            self._stores.samples.forget(self._name)
            return
        self._offsets = self._offsets and all(HAS_OFFSET.search(value, 11) for value in values)
        every = np.repeat(moments, counts)
        # In two parts, since the sum of nanoseconds is too large.
        seconds, rest = np.divmod(every, NANOSECONDS)
        total = int(seconds.sum()) * NANOSECONDS + int(rest.sum())
        times.add(int(moments.min()), int(moments.max()), total, len(every))
        self._stores.samples.add(self._name, every)

    def _of_texts(self) -> Statistics:
        top = [ValueCount(value, count) for value, count in self._frequent.top(TOP)]
        return Statistics(kind=ColumnKind.TEXT, top_values=top, top_values_error=self._frequent.error)

    def _of_times(self, times: _Range) -> Statistics:
        found, estimated = self._stores.samples.quantiles(self._name, PROBABILITIES, np.int64)
        return Statistics(
            kind=ColumnKind.TIME,
            least=self._iso(times.least),
            greatest=self._iso(times.greatest),
            mean=self._iso(times.total // times.count),
            quantiles=_quantiles([self._iso(int(moment)) for moment in found]),
            quantiles_estimated=estimated,
        )

    def _iso(self, moment: int) -> str:
        return pd.Timestamp(moment).isoformat() + ("Z" if self._offsets else "")


class TruthTally:
    """Of a column of truth values."""

    def __init__(self, name: str, stores: Stores) -> None:
        self._name = name
        self._stores = stores
        self._counts = {"False": 0, "True": 0}

    def add(self, present: Present) -> None:
        """See the next values; none is missing."""
        values = present.to_numpy().astype(bool)
        true = int(np.count_nonzero(values))
        self._counts["True"] += true
        self._counts["False"] += len(values) - true
        self._stores.distinct.add(self._name, np.unique(values).astype(np.uint64))

    def statistics(self) -> Statistics:
        """What they are like."""
        seen = [ValueCount(value, count) for value, count in self._counts.items() if count]
        return Statistics(kind=ColumnKind.TRUTH, top_values=sorted(seen, key=lambda one: -one.count))


Tally = NumberTally | TextTally | TruthTally


def _moments(values: Numbers) -> Numbers | None:
    """Texts in ISO 8601 as nanoseconds since 1970, as UTC where they name no offset; None when one is no such text."""
    # pandas reads more as times: a year alone, NaT, and now. All of that is shorter than a date.
    if not BEGINS_AS_TIME.match(values[0]) or min(map(len, values)) < DATE_LETTERS:
        return None
    try:
        return np.asarray(pd.to_datetime(values, format="ISO8601", utc=True).as_unit("ns").astype(np.int64))
    except (ValueError, OverflowError):
        return None


def _quantiles(values: list[Scalar | None]) -> list[Quantile]:
    pairs = zip(PROBABILITIES, values, strict=False)
    return [Quantile(probability, value) for probability, value in pairs if value is not None]
