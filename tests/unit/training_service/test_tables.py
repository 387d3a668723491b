"""Inspection in pieces says what pandas says of the whole."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.training.adapters.distinct import DistinctCounter
from services.training.adapters.tables import inspect_table
from services.training.domain.errors import NotText, UnreadableRow
from services.training.domain.model import TableFormat

CELLS = st.sampled_from(
    ["", "1", "2", "-7", "1.0", "2.5", "True", "False", "x", "y z", "NA", "1e3", "007", "2026-01-01"]
)
COLUMN = st.sets(CELLS, min_size=1, max_size=4).flatmap(
    lambda cells: st.lists(st.sampled_from(sorted(cells)), min_size=12, max_size=12)
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=st.lists(COLUMN, min_size=1, max_size=3), chunk_rows=st.integers(2, 14))
def test_types_and_counts_do_not_depend_on_the_pieces(tmp_path: Path, columns: list[list[str]], chunk_rows: int):
    rows = [",".join(cells) for cells in zip(*columns, strict=True)]
    names = [f"c{number}" for number in range(len(columns))]
    text = "\n".join([",".join(["id", *names]), *(f"{number},{row}" for number, row in enumerate(rows))]) + "\n"
    path = tmp_path / "table.csv"
    path.write_text(text)
    whole = pd.read_csv(io.StringIO(text), low_memory=False, index_col=False, skipinitialspace=True)
    found = inspect_table(path, tmp_path, TableFormat(), 0, chunk_rows)

    assert found.row_count == len(whole)
    for column in found.columns:
        expected = whole[column.name]
        assert (column.dtype, column.null_count, column.unique_count) == (
            str(expected.dtype),
            expected.isna().sum(),
            expected.nunique(),
        ), column.name


def test_hashes_beyond_the_memory_go_to_files_and_are_counted_the_same(tmp_path: Path):
    counter = DistinctCounter(tmp_path, in_memory=100)
    values = np.random.default_rng(0).integers(0, 5_000, 20_000).astype(np.uint64)
    for part in np.array_split(values, 50):
        counter.add("a", np.unique(part))
        counter.add("b", np.array([7], dtype=np.uint64))

    assert counter.count("a") == len(np.unique(values))
    assert counter.count("b") == 1
    assert counter.count("never seen") == 0


def test_a_forgotten_column_is_counted_anew(tmp_path: Path):
    counter = DistinctCounter(tmp_path, in_memory=2)
    for name in ("a", "b"):
        counter.add(name, np.arange(10, dtype=np.uint64))
    counter.forget("a")
    counter.add("a", np.arange(3, dtype=np.uint64))

    assert counter.count("a") == 3
    assert counter.count("b") == 10


def test_a_long_row_far_behind_the_head_is_named_by_its_line(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "1,2\n" * 400_007 + "1,2,3\n" + "1,2\n" * 9)

    with pytest.raises(UnreadableRow, match=r"Line 400009 .* 3 fields"):
        inspect_table(path, tmp_path, None, 5)


def test_every_row_longer_than_the_header(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "1,2,3\n" * 10)

    with pytest.raises(UnreadableRow):
        inspect_table(path, tmp_path, None, 5)


def test_another_encoding_behind_the_head_is_found(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 400_000 + "ö,2\n".encode("cp1252"))
    found = inspect_table(path, tmp_path, None, 5)

    assert found.format.encoding == "cp1252"
    assert found.row_count == 400_001


def test_integers_that_json_cannot_hold_become_texts(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n9007199254740993,1\n2,1\n3,1\n4,1\n")
    found = inspect_table(path, tmp_path, None, 2)

    assert [row["a"] for row in found.sample] == ["9007199254740993", 2]


def test_bytes_are_no_table(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_bytes(bytes(range(256)) * 100)

    with pytest.raises(NotText):
        inspect_table(path, tmp_path, None, 2)
