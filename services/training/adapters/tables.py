"""Reads a whole table in bounded memory and tells what is in it. For worker processes only: it brings pandas."""

import contextlib
import csv
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from services.training.adapters.cells import plain
from services.training.adapters.fitting import fitted
from services.training.adapters.survey import Survey
from services.training.domain import errors
from services.training.domain.inspection import Inspection
from services.training.domain.lines import too_long, unreadable
from services.training.domain.model import TableFormat
from services.training.domain.sniffing import END_OF_FILE, MINIMUM_ROWS, sniff

HEAD_BYTES = 1024 * 1024
CHUNK_ROWS = 50_000
CHUNK_CELLS = 2_000_000
CHUNK_BYTES = 32 * 1024 * 1024
MARK_BYTES = 16
FALLBACK_ENCODINGS = ("cp1252", "latin-1")


def inspect_table(
    data: Path, scratch: Path, known: TableFormat | None, sample_size: int, chunk_rows: int = CHUNK_ROWS
) -> Inspection:
    """Schema, size and first rows of a table, as pandas would see it whole; an InvalidInput on `file` for no table."""
    with data.open("rb") as file:
        head = file.read(HEAD_BYTES)
    sniffed = sniff(head, data.stat().st_size <= HEAD_BYTES, known)
    rows = min(chunk_rows, rows_within(CHUNK_BYTES, sniffed.row_count, len(head)))
    for encoding in (sniffed.format.encoding, *FALLBACK_ENCODINGS):
        table = Table(data, sniffed.column_names, replace(sniffed.format, encoding=encoding), rows)
        try:
            return _inspect(table, scratch, sample_size)
        except UnicodeDecodeError:
            continue  # the head is in that encoding, and something behind it is not
    raise errors.NotText(evidence=f"it is not encoded in {sniffed.format.encoding}")


def rows_within(size: int, rows: int, length: int) -> int:
    """How many rows so many bytes hold, of a file whose first bytes, `length` of them, hold `rows`."""
    return max(1, size * rows // length)


class Table:
    """A text file as data frames of some rows each."""

    def __init__(self, path: Path, names: list[str], format_: TableFormat, chunk_rows: int) -> None:
        self.names = names
        self.format = format_
        self._path = path
        self._rows = max(1, min(chunk_rows, CHUNK_CELLS // len(names)))
        # As a comment it is left out. Elsewhere in a table it stands for a letter, and would cut a row.
        self._comment = END_OF_FILE if _has_end_mark(path) else None

    def chunks(self) -> Iterator[pd.DataFrame]:
        """The rows in order, with the types that pandas infers for each part.

        Raises UnreadableRow for a row that is too long.
        """
        extra = str(len(self.names))
        places = [str(place) for place in range(len(self.names) + 1)]
        with self._path.open(encoding=self.format.encoding, newline="") as file:
            passed = self._pass_header(file)
            try:
                # Of a part's first row pandas drops what is too much: one more column catches it.
                for chunk in self._read(file, header=None, names=places):
                    if chunk.pop(extra).notna().any():
                        raise self._first_long_row()
                    yield chunk.set_axis(self.names, axis="columns")
            except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
                raise unreadable(str(error), self._path, self.format, len(self.names), passed) from error

    def chunks_of(self, dtypes: Mapping[str, str]) -> Iterator[pd.DataFrame]:
        """The rows in order, of some columns only, as the types say."""
        # By place, since pandas may read another name than we do: ours have no spaces around them.
        places = sorted(self.names.index(name) for name in dtypes)
        names = [self.names[place] for place in places]
        types = {place: dtypes[name] for place, name in zip(places, names, strict=True)}
        for chunk in self._read(self._path, usecols=places, dtype=types):
            yield chunk.set_axis(names, axis="columns")

    def _pass_header(self, file: TextIO) -> int:
        """Read up to the end of the header row; the rows that were read."""
        rows = csv.reader(file, delimiter=self.format.delimiter, skipinitialspace=True)
        return next(count for count, row in enumerate(rows, 1) if any(cell.strip() for cell in row))

    def _first_long_row(self) -> errors.UnreadableRow:
        """What to say of the first row with a value too many; it begins at the line that is named."""
        with self._path.open(encoding=self.format.encoding, errors="replace", newline="") as file:
            rows = csv.reader(file, delimiter=self.format.delimiter, skipinitialspace=True)
            line = 1
            with contextlib.suppress(csv.Error):  # a value too long for that reader
                for row in rows:
                    if any(row[len(self.names) :]):
                        return too_long(line, len(row), len(self.names))
                    line = rows.line_num + 1
        return errors.UnreadableRow(line="?", trouble="it has more fields than the header names columns")

    def _read(self, source: Path | TextIO, **options: Any) -> Iterator[pd.DataFrame]:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # that it cuts a row
            reader = pd.read_csv(
                source,
                sep=self.format.delimiter,
                encoding=self.format.encoding,
                index_col=False,
                skipinitialspace=True,
                low_memory=False,
                chunksize=self._rows,
                comment=self._comment,
                **options,
            )
            with reader:
                yield from reader


def _has_end_mark(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - MARK_BYTES))
        return file.read().rstrip(b"\0\r\n").endswith(END_OF_FILE.encode())


def _inspect(table: Table, scratch: Path, sample_size: int) -> Inspection:
    survey = Survey(table.names, scratch)
    sample: list[dict[str, Any]] = []
    for chunk in _ahead(table.chunks()):
        survey.add(chunk)
        sample += _records(chunk, sample_size - len(sample))
    if not survey.row_count:
        raise errors.NoRows(minimum=MINIMUM_ROWS)
    # The first part's types need not be those of the whole: the sample shows 00000, too, where other texts follow.
    if settled := survey.recount(table.chunks_of):
        first = _first_records(table.chunks_of(settled), len(sample))
        sample = [row | anew for row, anew in zip(sample, first, strict=True)]
    return fitted(Inspection(table.format, survey.columns(), survey.row_count, sample))


def _ahead(chunks: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The same, each read while the one before is looked at: pandas reads without holding up other threads."""
    with ThreadPoolExecutor(1, "reads ahead") as reader:
        coming = reader.submit(next, chunks, None)
        while (chunk := coming.result()) is not None:
            coming = reader.submit(next, chunks, None)
            yield chunk


def _first_records(chunks: Iterator[pd.DataFrame], count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for chunk in chunks:
        rows += _records(chunk, count - len(rows))
        if len(rows) == count:
            break
    return rows


def _records(chunk: pd.DataFrame, count: int) -> list[dict[str, Any]]:
    rows = chunk.head(max(0, count)).to_dict("records")
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]
