"""Tables that Arrow reads on their way to a model are those that pandas would have read (M.2)."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from servicekit.errors import InvalidInput
from services.training.domain.answers import RowFormat, RowsHeader
from services.training.domain.errors import BadRows
from services.training.domain.model import TableFormat
from services.training.workloads.tabular.delimited import NOTHING, DelimitedRows
from services.training.workloads.tabular.serving import LARGE_BYTES, TabularModel

FEATURES = [
    {"name": "age", "kind": "number"},
    {"name": "member", "kind": "boolean"},
    {"name": "city", "kind": "category"},
]
HEADER = "age,member,city,answer"
SHORT = DelimitedRows(FEATURES, ["answer"])

ODD = ["inf", "-Infinity", "1e400", "NAN", "nan(1)", "+1", "1 ", " 1", "0x1f", "1_0", "1,5", "--1", "1e", "٣", "True"]
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(str) | st.integers(-(10**20), 10**20).map(str)
NUMBER_FIELDS = NUMBERS | st.sampled_from([*NOTHING, *ODD, "007", ".5", "5.", "1E5", "-0", "9007199254740993"])
TRUTH_FIELDS = st.sampled_from(["true", "True", "FALSE", "tRUE", "true ", "1", "yes", *NOTHING])
TEXT_FIELDS = st.text("ab é\t\x0b\x1a'\\;") | st.sampled_from([*NOTHING, "1.0", "NA ", "true", "\ufeff"])
LINES = st.tuples(NUMBER_FIELDS, TRUTH_FIELDS, TEXT_FIELDS, TEXT_FIELDS).map(",".join)
CUNNING_LINES = st.text('a1,"\r\n \0é') | st.tuples(NUMBERS, st.just("true"), st.text('a,"\r\n ')).map(",".join)


class Kept:
    """A model that answers 0 and keeps what it was asked."""

    def __init__(self, folder, encoding="utf-8"):
        manifest = {
            "problem_type": "regression",
            "target": "answer",
            "classes": [],
            "unused_columns": {},
            "features": FEATURES,
            "table": {"delimiter": ",", "encoding": encoding},
        }
        self._model = TabularModel(manifest, self, folder / "rows.csv")

    def predict(self, rows):
        self.rows = rows
        return np.zeros(len(rows))

    def read(self, content, table_format=None):
        """The rows that come to it of a table."""
        self._model.answer(RowsHeader(RowFormat.CSV, table_format), io.BytesIO(content))
        return self.rows


def assert_same(short, long):
    """But for the last digit of a number, in which pandas is off now and then."""
    pd.testing.assert_frame_equal(short, long, check_exact=True)


@given(st.lists(LINES | CUNNING_LINES, min_size=1, max_size=4), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@example(["1,true,é,", "nan,,NA,x"], "\n", True)
@example([",,,"], "\n", False)
@example(['1,true,a"b,', '1,true,"b",'], "\n", False)
def test_a_table_is_read_as_pandas_reads_it_or_left_to_it(tmp_path_factory, lines, end, marked):
    content = end.join([HEADER, *lines]).encode("utf-8-sig" if marked else "utf-8")

    short = SHORT.frame(content, ",")

    if short is not None:
        assert_same(short, Kept(tmp_path_factory.getbasetemp()).read(content))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_what_most_tables_are_is_read_the_short_way(end, delimiter):
    lines = [HEADER, "1.5,true,New York,7", ",False,Besançon,", "-2e3,,NA,7"]

    short = SHORT.frame(end.join(lines).replace(",", delimiter).encode(), delimiter)

    assert short.to_dict("list") == {
        "age": [1.5, pytest.approx(math.nan, nan_ok=True), -2000.0],
        "member": [1.0, 0.0, pytest.approx(math.nan, nan_ok=True)],
        "city": ["New York", "Besançon", pytest.approx(math.nan, nan_ok=True)],
    }


@pytest.mark.parametrize("header", ["age,member,city", "city,answer,age,member"])
def test_columns_may_come_in_any_order_and_the_target_may_be_there(header):
    values = {"age": "1", "member": "true", "city": "Rome", "answer": "x"}
    line = ",".join(values[name] for name in header.split(","))

    assert SHORT.frame(f"{header}\n{line}\n".encode(), ",").to_numpy().tolist() == [[1.0, 1.0, "Rome"]]


@pytest.mark.parametrize(
    "header", ["age,member", "age,member,city,town", "age,member,city,age", " age,member,city", "age,member,city ", ""]
)
def test_a_header_that_is_not_the_features_is_left_to_pandas(header):
    assert SHORT.frame(f"{header}\n1,true,Rome,7\n".encode(), ",") is None


@pytest.mark.parametrize("feature", [{"whole": True}, {"decimal": ","}, {"kind": "date"}])
def test_kinds_that_are_more_than_their_fields_are_left_to_pandas(feature):
    features = [{"name": "age", "kind": "number"}, {"name": "day", "kind": "boolean"} | feature]

    assert DelimitedRows(features, []).frame(b"age,day\n1,true\n", ",") is None


def large(line="1.5,true,Rome,7", last="", encoding="utf-8"):
    return "\n".join([HEADER, *[line] * (LARGE_BYTES // len(line)), *([last] if last else [])]).encode(encoding)


@pytest.mark.parametrize("said", [None, TableFormat("", "utf-8"), TableFormat(",", "us-ascii")])
def test_a_large_table_is_the_same_whichever_way_it_is_read(tmp_path, said):
    content = large()
    rows = Kept(tmp_path).read(content, said)

    assert SHORT.frame(content, ",") is not None
    assert len(rows) == content.count(b"\n")
    assert_same(rows.head(9).reset_index(drop=True), Kept(tmp_path).read(b"\n".join(content.splitlines()[:10])))


@pytest.mark.parametrize("said", [None, TableFormat("", "latin-1")])
def test_a_large_table_in_another_encoding_is_read_in_it(tmp_path, said):
    rows = Kept(tmp_path, "latin-1").read(large("1.5,true,Besançon,7", encoding="latin-1"), said)

    assert set(rows["city"]) == {"Besançon"}


@pytest.mark.parametrize("last", ["ten,true,Rome,7", "inf,true,Rome,7", "1,yes,Rome,7"])
def test_what_is_wrong_in_a_large_table_is_told_as_in_a_small_one(tmp_path, last):
    with pytest.raises(InvalidInput) as refused:
        Kept(tmp_path).read(large(last=last))
    with pytest.raises(type(refused.value)) as expected:
        Kept(tmp_path).read(f"{HEADER}\n{last}\n".encode())

    row = large().count(b"\n") + 1
    assert str(refused.value) == str(expected.value).replace("Row 1,", f"Row {row},")


def test_a_field_too_many_in_a_large_table_is_told(tmp_path):
    with pytest.raises(BadRows, match="Expected 4 fields"):
        Kept(tmp_path).read(large(last="1,true,Rome,7,8"))
