"""Reads a whole table in bounded memory and tells what is in it. For worker processes only: it brings pandas."""

import json
import math
import re
import warnings
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from services.training.adapters.distinct import DistinctCounter
from services.training.domain import errors
from services.training.domain.inspection import Column, Inspection
from services.training.domain.model import TableFormat
from services.training.domain.sniffing import MINIMUM_ROWS, sniff

HEAD_BYTES = 1024 * 1024
CHUNK_ROWS = 50_000
CHUNK_CELLS = 2_000_000
# A message of gRPC holds 4 MiB, and the sample grows about threefold on its way into one.
SAMPLE_BYTES = 1024 * 1024
EXACT_INTEGERS = 2**53
FALLBACK_ENCODINGS = ("cp1252", "latin-1")

BOOLS = frozenset({"bool", "bool?"})
NUMBERS = frozenset({"int64", "uint64", "float64"})


def inspect_table(
    data: Path, scratch: Path, known: TableFormat | None, sample_size: int, chunk_rows: int = CHUNK_ROWS
) -> Inspection:
    """Schema, size and first rows of a table, as pandas would see it whole; an InvalidInput on `file` for no table."""
    with data.open("rb") as file:
        head = file.read(HEAD_BYTES)
    sniffed = sniff(head, data.stat().st_size <= HEAD_BYTES, known)
    for encoding in (sniffed.format.encoding, *FALLBACK_ENCODINGS):
        table = Table(data, sniffed.column_names, replace(sniffed.format, encoding=encoding), chunk_rows)
        try:
            return _inspect(table, scratch, sample_size)
        except UnicodeDecodeError:
            continue  # the head is in that encoding, and something behind it is not
    raise errors.NotText(evidence=f"it is not encoded in {sniffed.format.encoding}")


class Table:
    """A text file as data frames of some rows each."""

    def __init__(self, path: Path, names: list[str], format_: TableFormat, chunk_rows: int) -> None:
        self.names = names
        self.format = format_
        self._path = path
        self._rows = max(1, min(chunk_rows, CHUNK_CELLS // len(names)))

    def chunks(self) -> Iterator[pd.DataFrame]:
        """The rows in order, with the types that pandas infers for each part.

        Raises UnreadableRow for a row that is too long, save for the first two of a part: those pandas cuts.
        """
        try:
            for chunk in self._read(None, None):
                yield chunk.set_axis(self.names, axis="columns")
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            raise _unreadable(str(error)) from error

    def chunks_of(self, dtypes: Mapping[str, str]) -> Iterator[pd.DataFrame]:
        """The rows in order, of some columns only, as the types say."""
        # By place, since pandas may read another name than we do: ours have no spaces around them.
        places = sorted(self.names.index(name) for name in dtypes)
        names = [self.names[place] for place in places]
        for chunk in self._read(places, {place: dtypes[name] for place, name in zip(places, names, strict=True)}):
            yield chunk.set_axis(names, axis="columns")

    def _read(self, places: list[int] | None, dtypes: Mapping[Hashable, str] | None) -> Iterator[pd.DataFrame]:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # that it cuts a row
            reader = pd.read_csv(
                self._path,
                sep=self.format.delimiter,
                encoding=self.format.encoding,
                index_col=False,
                skipinitialspace=True,
                low_memory=False,
                chunksize=self._rows,
                usecols=places,
                dtype=dtypes,
            )
            with reader:
                yield from reader


def _inspect(table: Table, scratch: Path, sample_size: int) -> Inspection:
    survey = Survey(table.names, DistinctCounter(scratch))
    sample: list[dict[str, Any]] = []
    for chunk in table.chunks():
        survey.add(chunk)
        sample += _records(chunk, sample_size - len(sample))
    if not survey.row_count:
        raise errors.NoRows(minimum=MINIMUM_ROWS)
    survey.recount(table)
    return Inspection(table.format, survey.columns(), survey.row_count, _within_budget(sample))


class Survey:
    """What has been seen of each column, chunk by chunk."""

    def __init__(self, names: list[str], distinct: DistinctCounter) -> None:
        self.row_count = 0
        self._distinct = distinct
        self._nulls = dict.fromkeys(names, 0)
        self._kinds: dict[str, set[str]] = {name: set() for name in names}

    def add(self, chunk: pd.DataFrame) -> None:
        """See the next rows."""
        self.row_count += len(chunk)
        for name, column in chunk.items():
            present = column.dropna()
            self._nulls[str(name)] += len(column) - len(present)
            if len(present):
                kind = _kind(present)
                self._kinds[str(name)].add(kind)
                self._distinct.add(str(name), _hashes(present, kind))

    def recount(self, table: Table) -> None:
        """Count anew the columns whose type only the whole file settles: 1 and 1.0 are one number, but two texts."""
        mixed = {name: self._dtype(name) for name, kinds in self._kinds.items() if _is_mixed(kinds)}
        if not mixed:
            return
        for name in mixed:
            self._distinct.forget(name)
        for chunk in table.chunks_of({name: "str" if dtype == "object" else dtype for name, dtype in mixed.items()}):
            for name, dtype in mixed.items():
                self._distinct.add(name, _hashes(chunk[name].dropna(), dtype))

    def columns(self) -> list[Column]:
        """What is known of each column."""
        return [
            Column(name, self._dtype(name), nulls, self._distinct.count(name)) for name, nulls in self._nulls.items()
        ]

    def _dtype(self, name: str) -> str:
        return _settled(self._kinds[name], has_nulls=self._nulls[name] > 0)


def _is_mixed(kinds: set[str]) -> bool:
    return len(kinds) > 1 and not kinds <= BOOLS


def _settled(kinds: set[str], has_nulls: bool) -> str:
    """The type that pandas gives to the whole of a column whose parts have these."""
    if kinds and kinds <= BOOLS:
        return "object" if has_nulls else "bool"
    if not kinds <= NUMBERS:
        return "object"
    if not kinds or "float64" in kinds:
        return "float64"
    if "uint64" in kinds:
        return "uint64" if len(kinds) == 1 and not has_nulls else "object"
    return "float64" if has_nulls else "int64"


def _kind(present: "pd.Series[Any]") -> str:
    """The type of a column in one chunk; `bool?` for truth values among which some are missing."""
    if present.dtype == object:
        return "bool?" if isinstance(present.iloc[0], bool) else "object"
    return str(present.dtype)


def _hashes(present: "pd.Series[Any]", kind: str) -> "np.ndarray[Any, np.dtype[np.uint64]]":
    values = present.astype(bool) if kind in BOOLS else present
    unique = np.asarray(values.unique())
    if unique.dtype.kind == "f":
        unique = unique + 0.0  # the two zeros are one
    return pd.util.hash_array(unique, categorize=False)


def _records(chunk: pd.DataFrame, count: int) -> list[dict[str, Any]]:
    rows = chunk.head(max(0, count)).to_dict("records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> str | int | float | bool | None:
    """A cell as JSON can say it exactly; numbers that it cannot are texts."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and not math.isfinite(plain):
        return None if math.isnan(plain) else str(plain)
    if isinstance(plain, int) and abs(plain) > EXACT_INTEGERS:
        return str(plain)
    return plain if isinstance(plain, str | int | float | bool) else str(plain)


def _within_budget(sample: list[dict[str, Any]]) -> list[dict[str, Any]]:
    left = SAMPLE_BYTES
    for count, row in enumerate(sample):
        left -= len(json.dumps(row))
        if left < 0:
            return sample[:count]
    return sample


def _unreadable(trouble: str) -> errors.UnreadableRow:
    """`Error tokenizing data. C error: Expected 2 fields in line 3, saw 4` in our words."""
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", trouble):
        expected, line, seen = found.groups()
        return errors.UnreadableRow(line=line, trouble=f"it has {seen} fields, and the header names {expected} columns")
    if found := re.search(r"EOF inside string starting at row (\d+)", trouble):
        unclosed = "a value begins with a quotation mark that is never closed"
        return errors.UnreadableRow(line=int(found[1]) + 1, trouble=unclosed)
    if "Length of header" in trouble:
        return errors.UnreadableRow(line=2, trouble="it has more fields than the header names columns")
    return errors.UnreadableRow(line="?", trouble=trouble)
