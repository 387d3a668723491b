"""Reads a data file as a table."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from services.training.domain import errors
from services.training.domain.lines import unreadable
from services.training.domain.model import TableFormat
from services.training.domain.sniffing import MINIMUM_ROWS, is_archive, sniff
from services.training.workloads.tabular.templates.load_model import end_mark, find_zero

HEAD_BYTES = 1024 * 1024

# What to try when text beyond the first bytes is not in the encoding of the first; the last one reads anything.
FALLBACK_ENCODINGS = ("cp1252", "latin-1")


@dataclass(frozen=True)
class Table:
    """A table as it was read: numbers and booleans where a column has nothing else, text otherwise."""

    frame: pd.DataFrame
    format: TableFormat
    path: Path

    @property
    def decimal_comma(self) -> bool:
        """Numbers may be written 1,5: only where the comma does not part the fields."""
        return self.format.delimiter != ","

    def as_written(self, name: str) -> "pd.Series[str]":
        """A column's values as text, before pandas made numbers of them."""
        place = list(self.frame.columns).index(name)
        return _parse(self.path, self.format, len(self.frame.columns), usecols=[place], dtype=str).iloc[:, 0]


def read_table(path: Path, known: TableFormat | None) -> Table:
    """Read a whole file, in a known format or in the one its first bytes show; an InvalidInput on `file` otherwise."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if is_archive(head):
        raise errors.ArchiveNoTable
    sniffed = sniff(head, path.stat().st_size <= HEAD_BYTES, known)
    frame, encoding = _read(path, sniffed.format, len(sniffed.column_names))
    if len(frame.columns) != len(sniffed.column_names) or not isinstance(frame.index, pd.RangeIndex):
        raise errors.UnreadableRow(line=2, trouble="it has more fields than the header names columns")
    frame.columns = pd.Index(sniffed.column_names)
    if len(frame) < MINIMUM_ROWS:
        raise errors.TooFewRows(found=len(frame), which="of data", minimum=MINIMUM_ROWS)
    return Table(frame, replace(sniffed.format, encoding=encoding), path)


def _read(path: Path, format_: TableFormat, columns: int) -> tuple[pd.DataFrame, str]:
    for encoding in (format_.encoding, *FALLBACK_ENCODINGS):
        try:
            return _parse(path, replace(format_, encoding=encoding), columns), encoding
        except UnicodeDecodeError:
            continue
    raise errors.NotText(evidence=f"it is not encoded in {format_.encoding}")


def _parse(path: Path, format_: TableFormat, columns: int, **options: Any) -> pd.DataFrame:
    mark = end_mark(path)
    if line := find_zero(path, format_.encoding, mark):
        raise errors.NotText(evidence=f"line {line:,} holds a zero byte, as only binary files do")
    try:
        # low_memory=False: a column has one type from its first row to its last.
        frame: pd.DataFrame = pd.read_csv(
            path,
            sep=format_.delimiter,
            encoding=format_.encoding,
            skipinitialspace=True,
            low_memory=False,
            float_precision="round_trip",
            comment=mark,
            **options,
        )
    except pd.errors.ParserError as error:
        raise unreadable(str(error), path, format_, columns) from error
    return frame
