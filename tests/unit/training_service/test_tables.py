"""Inspection in pieces says what pandas says of the whole."""

import io
import math
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.training.adapters.distinct import DistinctCounter
from services.training.adapters.frequent import FrequentValues
from services.training.adapters.ordering import ValueSamples
from services.training.adapters.spill import Spill
from services.training.adapters.tables import inspect_table, rows_within
from services.training.domain.errors import NotText, UnreadableRow
from services.training.domain.inspection import ColumnKind
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


BEYOND = 2**63 + 5


@pytest.mark.parametrize(
    "values",
    [
        [BEYOND] * 6 + [1] * 6,
        [1] * 6 + [BEYOND, 2**64 - 1] * 3,
        [BEYOND] * 4 + [2**63 - 1] * 4 + [2**53 + 1] * 4,
        [BEYOND] * 6 + [-1] * 6,
        [BEYOND] * 4 + [1] * 4 + [-3] * 4,
        [-1] * 6 + [2**63 - 1] * 6,
        [BEYOND] * 6 + [1.5] * 6,
        [BEYOND] * 6 + [2**64] * 6,
        [2**53 + 1] * 6 + [2**53] * 2 + [""] * 4,
    ],
)
@pytest.mark.parametrize("chunk_rows", [4, 6, 12])
def test_large_whole_numbers_in_one_piece_and_small_ones_in_another_are_what_they_are_together(
    tmp_path: Path, values: list, chunk_rows: int
):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["id,big", *(f"{place},{value}" for place, value in enumerate(values))]) + "\n")
    whole = pd.read_csv(path, low_memory=False)["big"]
    column = inspect_table(path, tmp_path, TableFormat(), 0, chunk_rows).columns[1]
    bounds = (whole.min(), whole.max()) if whole.dtype != object else (None, None)

    assert (column.dtype, column.null_count, column.unique_count) == (
        str(whole.dtype),
        whole.isna().sum(),
        whole.nunique(),
    )
    assert column.statistics.kind == (ColumnKind.TEXT if whole.dtype == object else ColumnKind.NUMBER)
    assert (_number(column.statistics.least), _number(column.statistics.greatest)) == bounds


def _number(value):
    """A bound, which is text where JSON has no such number."""
    return int(value) if isinstance(value, str) else value


@pytest.mark.parametrize("odd", ["NaT", "nat", "now", "today", "2024-02", "2024"])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_one_value_that_is_no_day_makes_a_column_of_days_text(tmp_path: Path, odd: str, place: int):
    """002.8: wherever it stands; what is told does not hang on the day of the inspection."""
    days = ["2024-01-01", "2024-01-03", "2024-01-05"]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["id,day", *(f"1,{day}" for day in [*days[:place], odd, *days[place:]])]) + "\n")
    statistics = inspect_table(path, tmp_path, TableFormat(), 0).columns[1].statistics

    assert (statistics.kind, statistics.least) == (ColumnKind.TEXT, None)
    assert odd in [one.value for one in statistics.top_values]


@pytest.mark.parametrize("chunk_rows", [2, 4, 12])
def test_the_sample_shows_values_of_the_whole_columns_type(tmp_path: Path, chunk_rows: int):
    """002.8: whatever the part of the table would make of them in which they stand."""
    path = tmp_path / "table.csv"
    path.write_text("zip,price,truth,n\n" + "00000,0.50,True,1\n" * 4 + "K1A,none,maybe,1.5\n" * 4)
    whole = pd.read_csv(path, low_memory=False)
    found = inspect_table(path, tmp_path, TableFormat(), 5, chunk_rows)

    assert found.sample == [{name: row[name] for name in whole.columns} for row in whole.head(5).to_dict("records")]
    assert found.sample[0] == {"zip": "00000", "price": "0.50", "truth": "True", "n": 1}


@pytest.mark.parametrize("end", ["\x1a", "\n\x1a", "\n\x1a\r\n", "\n\x1a\x1a\x1a"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_mark_of_dos_behind_the_last_line_is_no_row(tmp_path: Path, end: str, encoding: str):
    """002.8: and a column of numbers stays one."""
    path = tmp_path / "table.csv"
    path.write_bytes(("n,x\n1,0.5\n2,1.5\n3,2.5\n4,3" + end).encode(encoding))
    found = inspect_table(path, tmp_path, None, 9)

    assert found.row_count == len(found.sample) == 4
    assert [(column.dtype, column.null_count) for column in found.columns] == [("int64", 0), ("float64", 0)]


def test_the_same_mark_within_a_row_cuts_nothing(tmp_path: Path):
    """002.8: some programs write it for a letter that they cannot write."""
    path = tmp_path / "table.csv"
    path.write_bytes(b"t,n\n" + b"M\x1anchen,1\n" * 4)
    text, number = inspect_table(path, tmp_path, None, 9).columns

    assert text.statistics.top_values[0].value == "M\x1anchen"
    assert (number.dtype, number.null_count) == ("int64", 0)


def test_large_whole_numbers_with_gaps_are_texts(tmp_path: Path):
    """pandas has no whole numbers of that size that may be missing."""
    path = tmp_path / "table.csv"
    path.write_text("id,big\n" + f"1,{BEYOND}\n" * 4 + "2,\n" * 4)
    column = inspect_table(path, tmp_path, TableFormat(), 0, chunk_rows=4).columns[1]

    assert (column.dtype, column.null_count, column.unique_count) == ("object", 4, 1)
    assert [(one.value, one.count) for one in column.statistics.top_values] == [(str(BEYOND), 4)]


def test_hashes_beyond_the_memory_go_to_files_and_are_counted_the_same(tmp_path: Path):
    counter = DistinctCounter(Spill(tmp_path, in_memory=100), kept=5_000)
    values = np.random.default_rng(0).integers(0, 5_000, 20_000).astype(np.uint64)
    for part in np.array_split(values, 50):
        counter.add("a", np.unique(part))
        counter.add("b", np.array([7], dtype=np.uint64))

    assert counter.count("a") == (len(np.unique(values)), False)
    assert counter.count("b") == (1, False)
    assert counter.count("never seen") == (0, False)


def test_a_forgotten_column_is_counted_anew(tmp_path: Path):
    counter = DistinctCounter(Spill(tmp_path, in_memory=2), kept=100)
    for name in ("a", "b"):
        counter.add(name, np.arange(10, dtype=np.uint64))
    counter.forget("a")
    counter.add("a", np.arange(3, dtype=np.uint64))

    assert counter.count("a") == (3, False)
    assert counter.count("b") == (10, False)


def test_more_distinct_values_than_are_kept_are_estimated_in_little_room(tmp_path: Path):
    counter = DistinctCounter(Spill(tmp_path, in_memory=1_000), kept=4_000)
    for start in range(0, 400_000, 10_000):
        counter.add("a", pd.util.hash_array(np.arange(start, start + 15_000)))
    count, estimated = counter.count("a")

    assert estimated
    assert abs(count - 405_000) < 0.1 * 405_000  # four standard errors
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 8 * (2 * 4_000 + 15_000)


def test_quantiles_of_more_values_than_are_kept_are_those_of_a_sample(tmp_path: Path):
    samples = ValueSamples(Spill(tmp_path, in_memory=1_000), kept=8_000)
    for part in np.array_split(np.random.default_rng(1).permutation(400_000).astype(np.float64), 40):
        samples.add("a", part)
    found, estimated = samples.quantiles("a", (0.25, 0.5, 0.75), np.float64)

    assert estimated
    assert np.allclose(found, [100_000, 200_000, 300_000], atol=0.04 * 400_000)


def test_few_values_have_exact_quantiles(tmp_path: Path):
    samples = ValueSamples(Spill(tmp_path), kept=10)
    samples.add("a", np.array([3, 1, 2, 2**62], dtype=np.int64))

    assert samples.quantiles("a", (0.0, 0.5, 1.0), np.int64) == ([1, 2, 2**62], False)
    assert samples.quantiles("b", (0.5,), np.int64) == ([], False)


def test_frequent_values_are_found_among_too_many_to_count():
    """A count is too low by no more than is said, and what is frequent is not missed."""
    frequent = FrequentValues(candidates=50)
    random = np.random.default_rng(2)
    true: Counter[str] = Counter()
    for _ in range(40):
        rare = [f"rare {number}" for number in random.integers(0, 10**6, 300)]
        part = Counter([*rare, *random.choice(["a", "b", "c"], 600, p=[0.6, 0.3, 0.1])])
        true.update(part)
        frequent.add(np.array(list(part), dtype=object), np.array(list(part.values())))
    top = frequent.top(3)

    assert [value for value, _ in top] == ["a", "b", "c"]
    assert frequent.error > 0
    assert all(true[value] - frequent.error <= count <= true[value] for value, count in top)


NUMBERS = st.one_of(st.integers(-(2**62), 2**62), st.integers(-5, 5), st.floats(allow_nan=False, width=64), st.none())


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(NUMBERS, min_size=4, max_size=30), chunk_rows=st.integers(2, 40))
def test_statistics_of_numbers_are_those_of_pandas(tmp_path: Path, numbers: list, chunk_rows: int):
    text = "id,x\n" + "".join(f"{place},{'' if one is None else one}\n" for place, one in enumerate(numbers))
    path = tmp_path / "table.csv"
    path.write_text(text)
    expected = pd.read_csv(io.StringIO(text))["x"]
    column = inspect_table(path, tmp_path, TableFormat(), 0, chunk_rows).columns[1]
    assert (column.dtype, column.unique_count) == (str(expected.dtype), expected.nunique())
    if not expected.count():
        assert column.statistics.kind is ColumnKind.EMPTY
        return
    found = column.statistics
    ordered = np.sort(expected.dropna().to_numpy())

    assert found.kind is ColumnKind.NUMBER
    # The parser may miss the last digit of a number that it reads beside a missing one, and not of one beside none.
    bounds = (float(ordered[0]), float(ordered[-1]))
    assert (float(found.least), float(found.greatest)) == pytest.approx(bounds, rel=1e-15, abs=0)
    for quantile in found.quantiles:
        place = quantile.probability * (len(ordered) - 1)
        lower, upper = float(ordered[int(place)]), float(ordered[min(int(place) + 1, len(ordered) - 1)])
        largest = max(abs(lower), abs(upper))
        slack = 1e-12 * largest if math.isfinite(largest) else 0
        assert lower - slack <= float(quantile.value) <= upper + slack
    if np.isfinite(ordered).all() and abs(ordered.astype(float)).sum() < 1e300:
        assert np.allclose([float(one.value) for one in found.quantiles], expected.quantile([0.25, 0.5, 0.75]))
        scale = abs(ordered.astype(float)).max()
        assert math.isclose(float(found.mean), expected.astype(float).mean(), rel_tol=1e-9, abs_tol=1e-12 * scale)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.sampled_from(["a", "b", "ä b", 'q"q', "l\nl", "", "True", "1"]), min_size=4, max_size=30))
def test_the_most_frequent_texts_are_those_of_pandas(tmp_path: Path, texts: list[str]):
    path = tmp_path / "table.csv"
    pd.DataFrame({"id": range(len(texts) + 1), "x": ["zzz", *texts]}).to_csv(path, index=False)
    column = inspect_table(path, tmp_path, TableFormat(), 0, 5).columns[1]
    counts = pd.read_csv(path, dtype={"x": "str"})["x"].value_counts()

    assert {one.value: one.count for one in column.statistics.top_values} == counts.to_dict()
    assert [one.count for one in column.statistics.top_values] == sorted(counts, reverse=True)
    assert column.statistics.top_values_error == 0


@pytest.mark.parametrize("row", [-1, 0, 1, 5])
@pytest.mark.parametrize("after", [0, 9])
def test_a_long_row_wherever_in_a_part_is_named_by_its_line(tmp_path: Path, row: int, after: int):
    path = tmp_path / "table.csv"
    # The head is 1 MiB, so that it ends before; a row of quoted lines comes first.
    path.write_text('a,b\n"x\ny",2\n' + "1,2\n" * (400_000 + row) + "1,2,3\n" + "1,2\n" * after)

    with pytest.raises(UnreadableRow, match=f"Line {400_000 + row + 4} "):
        inspect_table(path, tmp_path, TableFormat(), 5, chunk_rows=10_000)


def test_a_long_row_far_behind_the_head_is_named_by_its_line(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "1,2\n" * 400_007 + "1,2,3\n" + "1,2\n" * 9)

    with pytest.raises(UnreadableRow, match=r"Line 400009 .* 3 fields"):
        inspect_table(path, tmp_path, None, 5)


def test_a_part_of_long_rows_has_fewer_of_them(tmp_path: Path):
    """What is in memory at once is bounded by bytes, however long the texts are."""
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + f"1,{'x' * 20_000}\n" * 2_500)
    tracemalloc.start()
    found = inspect_table(path, tmp_path, None, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found.row_count == 2_500
    assert found.columns[1].statistics.top_values == []
    assert peak < 48e6
    assert rows_within(32_000_000, 50, 1_000_000) == 1_600


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
