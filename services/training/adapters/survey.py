"""What is known of the columns of a table, piece by piece. For worker processes only: it brings pandas."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from services.training.adapters.tally import NumberTally, Stores, Tally, TextTally, TruthTally
from services.training.domain.inspection import Column, Statistics

BOOLS = frozenset({"bool", "bool?"})
WHOLE = frozenset({"int64", "int64-", "uint64"})
NUMBERS = WHOLE | {"float64"}

Reread = Callable[[Mapping[str, str]], Iterator[pd.DataFrame]]


class Survey:
    """What has been seen of each column, chunk by chunk."""

    def __init__(self, names: list[str], scratch: Path) -> None:
        self.row_count = 0
        self._stores = Stores(scratch, len(names))
        self._nulls = dict.fromkeys(names, 0)
        self._kinds: dict[str, set[str]] = {name: set() for name in names}
        self._tallies: dict[str, dict[type[Tally], Tally]] = {name: {} for name in names}

    def add(self, chunk: pd.DataFrame) -> None:
        """See the next rows."""
        self.row_count += len(chunk)
        for name, column in chunk.items():
            present = column.dropna()
            self._nulls[str(name)] += len(column) - len(present)
            if len(present):
                kind = _kind(present)
                self._kinds[str(name)].add(kind)
                self._see(str(name), present, kind)

    def recount(self, reread: Reread) -> Mapping[str, str]:
        """Count anew the columns whose type only the whole file settles: 1 and 1.0 are one number, but two texts.

        Returns the types to read them by.
        """
        mixed = {name: self._dtype(name) for name in self._kinds if self._is_mixed(name)}
        settled = {name: "str" if dtype == "object" else dtype for name, dtype in mixed.items()}
        if not mixed:
            return settled
        for name in mixed:
            self._stores.forget(name)
            self._tallies[name].clear()
        for chunk in reread(settled):
            for name, dtype in mixed.items():
                if len(present := chunk[name].dropna()):
                    self._see(name, present, dtype)
        return settled

    def columns(self) -> list[Column]:
        """What is known of each column."""
        return [self._column(name) for name in self._nulls]

    def _column(self, name: str) -> Column:
        unique_count, estimated = self._stores.distinct.count(name)
        tallies = list(self._tallies[name].values())
        statistics = tallies[0].statistics() if tallies else Statistics()
        return Column(name, self._dtype(name), self._nulls[name], unique_count, estimated, statistics)

    def _see(self, name: str, present: "pd.Series[Any]", kind: str) -> None:
        family = _family(kind)
        if family not in self._tallies[name]:
            self._tallies[name][family] = family(name, self._stores)
        self._tallies[name][family].add(present)

    def _dtype(self, name: str) -> str:
        return _settled(self._kinds[name], has_nulls=self._nulls[name] > 0)

    def _is_mixed(self, name: str) -> bool:
        kinds, dtype = self._kinds[name], self._dtype(name)
        if kinds <= BOOLS or dtype in WHOLE:
            return False
        if dtype == "object":
            return kinds != {"object"}
        # Whole numbers that floats can hold are counted as the floats that they turn out to be.
        numbers = self._tallies[name].get(NumberTally)
        return not isinstance(numbers, NumberTally) or numbers.beyond_floats


def _family(kind: str) -> type[Tally]:
    if kind in BOOLS:
        return TruthTally
    return NumberTally if kind in NUMBERS else TextTally


def _settled(kinds: set[str], has_nulls: bool) -> str:
    """The type that pandas gives to the whole of a column whose parts have these."""
    if kinds and kinds <= BOOLS:
        return "object" if has_nulls else "bool"
    if not kinds <= NUMBERS:
        return "object"
    if not kinds or "float64" in kinds:
        return "float64"
    if "uint64" in kinds:
        return "object" if has_nulls or "int64-" in kinds else "uint64"
    return "float64" if has_nulls else "int64"


def _kind(present: "pd.Series[Any]") -> str:
    """The type of a column in one chunk; `bool?` for truth values among which some are missing, `int64-` for whole
    numbers among which some are negative."""
    if present.dtype == object:
        return "bool?" if isinstance(present.iloc[0], bool) else "object"
    return "int64-" if present.dtype == "int64" and present.min() < 0 else str(present.dtype)
