"""Which line is named of a row that cannot be read: pandas counts rows, and a person's editor counts lines."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.training.adapters.tables import inspect_table
from services.training.domain.errors import UnreadableRow
from services.training.workloads.tabular.reading import read_table

BEGIN = '\n"a","b"\n"x\n\ny",2\n\n"x\r\ny",2\n'
"""Eight lines that are three rows and two blanks."""
PLAIN = 400_000
"""Rows that fill the first mebibyte, within which each row is looked at by us."""
BROKEN = {
    "too many fields": ("1,2,3,4\n1,2\n", "it has 4 fields, and the header names 2 columns"),
    "a quotation mark that stays open": ('1,"2\n1,2\n', "a value begins with a quotation mark that is never closed"),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize(
    "read",
    [lambda path: inspect_table(path, path.parent, None, 5), lambda path: read_table(path, None)],
    ids=["inspected", "learned from"],
)
def test_lines_are_counted_as_an_editor_does(tmp_path: Path, broken: str, read: Callable[[Path], object]):
    """002.19: with blank lines, and values of several lines, before it."""
    rest, trouble = BROKEN[broken]
    path = tmp_path / "table.csv"
    path.write_text(BEGIN + "1,2\n" * PLAIN + rest, newline="")

    with pytest.raises(UnreadableRow, match=f"Line {BEGIN.count(chr(10)) + PLAIN + 1} of the file .* {trouble}"):
        read(path)
