"""Where in a file a row stands that cannot be read."""

import csv
import re
from itertools import islice
from pathlib import Path

from services.training.domain.errors import UnreadableRow
from services.training.domain.model import TableFormat

RAGGED = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
UNCLOSED = re.compile(r"EOF inside string starting at row (\d+)")


def unreadable(message: str, path: Path, format_: TableFormat, columns: int, passed: int = 0) -> UnreadableRow:
    """What pandas says of a file, in our words; so many rows had been read before pandas began, of which the last was
    the header."""
    if ragged := RAGGED.search(message):
        row, seen = passed + int(ragged[2]), int(ragged[3])
        return too_long(_line_of(path, format_, row), seen, columns)
    if unclosed := UNCLOSED.search(message):
        line = _line_of(path, format_, passed + int(unclosed[1]) + 1)
        return UnreadableRow(line=line, trouble="a value begins with a quotation mark that is never closed")
    return UnreadableRow(line="?", trouble=message)


def too_long(line: int | str, seen: int, columns: int) -> UnreadableRow:
    """What to say of a row with more values than the header has names."""
    return UnreadableRow(line=line, trouble=f"it has {seen} fields, and the header names {columns} columns")


def _line_of(path: Path, format_: TableFormat, row: int) -> int | str:
    """The line at which a row begins: pandas counts rows, of which one may take several lines."""
    with path.open(encoding=format_.encoding, errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=format_.delimiter, skipinitialspace=True)
        try:
            for _ in islice(rows, row - 1):
                pass
        except csv.Error:  # a value is too long for that reader
            return "?"
        return rows.line_num + 1
