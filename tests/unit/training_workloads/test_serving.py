"""Rows on their way to a model: the short ways give what the long ones give (M.2)."""

import io
import itertools
import json
import math
import operator
from datetime import date
from decimal import Decimal

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather

from servicekit.errors import InvalidInput
from services.training.domain import errors
from services.training.domain.answers import ColumnsFormat, RowFormat, RowsHeader
from services.training.domain.model import TableFormat
from services.training.workloads.tabular.arrow import as_frame, plain_frame
from services.training.workloads.tabular.plain import PlainRows
from services.training.workloads.tabular.serving import TabularModel
from services.training.workloads.tabular.templates.load_model import prepare
from services.training.workloads.tabular.unwrapped import Unwrapped
from tests.unit.training_workloads.trial import train

FEATURES = [
    {"name": "age", "kind": "number"},
    {"name": "member", "kind": "boolean"},
    {"name": "city", "kind": "category"},
]
ROW_KINDS = [feature["name"] for feature in FEATURES]
ROWS = st.fixed_dictionaries(
    {
        "age": st.none() | st.integers(-(10**300), 10**300) | st.floats(allow_infinity=False, allow_nan=False),
        "member": st.none() | st.booleans(),
        "city": st.none() | st.text(),
    }
)
CUNNING_ROWS = st.builds(operator.or_, ROWS, st.fixed_dictionaries({"city": st.text('{}[],:"\\')}))


PLAIN = PlainRows(FEATURES, ["answer"])


def written(rows):
    return json.dumps(rows).encode()


def by_the_long_way(rows):
    return prepare(pd.DataFrame({name: [row[name] for row in rows] for name in rows[0]}, dtype=object), FEATURES)


@given(st.lists(ROWS.filter(lambda row: "}," not in (row["city"] or "")), min_size=1))
def test_plain_rows_are_as_prepared_ones(rows):
    pd.testing.assert_frame_equal(PLAIN.frame([written(rows)]), by_the_long_way(rows))


@pytest.mark.parametrize(
    "odd",
    [
        {"age": float("nan")},
        {"age": 10**310},
        {"weight": 3},
        {"age": "12"},
        {"age": True},
        {"age": float("inf")},
        {"member": 1},
        {"member": "true"},
        {"city": 7},
        {"city": ["Rome"]},
    ],
)
def test_what_has_to_be_looked_at_is_left_to_the_long_way(odd):
    rows = [{"age": 1, "member": None, "city": "Rome"}, {"age": 1, "member": None, "city": "Rome"} | odd]

    assert PLAIN.frame([written(rows[:1])]) is not None
    assert PLAIN.frame([written(rows)]) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[1]",
        b'[{"age": 1, "member": true}]',
        b'[{"age": 1, "member": true, "city": "\xff"}]',
        b"[" * 9999,
    ],
)
def test_what_is_no_table_of_the_features_is_left_to_the_long_way(content):
    assert PLAIN.frame([content]) is None


@given(st.lists(ROWS | CUNNING_ROWS, min_size=1), st.lists(st.integers(0, 300)), st.sampled_from([",", ", ", ",\n"]))
def test_rows_are_the_same_in_whatever_pieces_they_arrive(rows, cuts, comma):
    whole = json.dumps(rows, separators=(comma, ":")).encode()
    places = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(places)]

    together = PLAIN.frame(pieces)

    # A cut in a text leaves rows to the long way; they are never others.
    assert together is not None or "}," in "".join(row["city"] or "" for row in rows)
    if together is not None:
        pd.testing.assert_frame_equal(together, by_the_long_way(rows))


@pytest.mark.parametrize("end", [b",]", b"]]", b"] []", b"", b",", b",{}]", b",,]", b"],"])
@pytest.mark.parametrize("length", [1, 7, 999])
def test_what_ends_as_no_array_does_is_left_to_the_long_way(end, length):
    content = written([{"age": 1, "member": None, "city": "Rome"}] * 5).removesuffix(b"]")
    pieces = [(content + end)[start : start + length] for start in range(0, len(content + end), length)]

    assert PLAIN.frame([content, b"]"]) is not None
    assert PLAIN.frame(pieces) is None


def test_columns_that_may_be_there_are_passed_over():
    plain, told = {"age": 1, "member": True, "city": None}, {"answer": ["whatever", {"it": 1}]}

    assert {name: list(column) for name, column in PLAIN.frame([written([plain | told, plain])]).items()} == {
        "age": [1.0, 1.0],
        "member": [1.0, 1.0],
        "city": [pytest.approx(np.nan, nan_ok=True)] * 2,
    }


COLUMNS = {"age": [1, None, -2.5], "member": [True, None, False], "city": ["Rome", None, ""]}


@given(
    st.lists(ROWS, min_size=1),
    st.sampled_from([{}, {"age": "FP64", "member": "BOOL", "city": "BYTES"}, dict.fromkeys(ROW_KINDS, "BYTES")]),
)
def test_plain_columns_are_as_prepared_ones(rows, datatypes):
    columns = {name: [row[name] for row in rows] for name in ROW_KINDS}

    plain = PLAIN.columns(written(columns), ColumnsFormat(len(rows), datatypes))

    pd.testing.assert_frame_equal(plain, by_the_long_way(rows))


@pytest.mark.parametrize(
    ("datatype", "ages"),
    [("INT8", [-128, 127]), ("UINT16", [0, 2**16 - 1]), ("INT64", [-(2**63), 2**63 - 1]), ("UINT32", [None, 7])],
)
def test_whole_numbers_are_plain_within_their_datatype(datatype, ages):
    told = ColumnsFormat(2, {"age": datatype})
    columns = {"age": ages, "member": [True, False], "city": ["Rome", "Oslo"]}
    outside = columns | {"age": [max(filter(None, ages)), 2**64]}

    assert PLAIN.columns(written(columns), told)["age"].tolist() == [
        pytest.approx(np.nan, nan_ok=True) if age is None else float(age) for age in ages
    ]
    assert PLAIN.columns(written(outside), told) is None


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (COLUMNS, ColumnsFormat(2)),
        (COLUMNS | {"age": [1, 2]}, ColumnsFormat()),
        ({name: [] for name in COLUMNS}, ColumnsFormat(0)),
        (COLUMNS | {"answer": [1, 2, 3]}, ColumnsFormat()),
        ({"age": [1], "member": [True]}, ColumnsFormat()),
        (COLUMNS | {"age": [1, 2, 3.0]}, ColumnsFormat(3, {"age": "INT64"})),
        (COLUMNS, ColumnsFormat(3, {"age": "UINT64"})),
        (COLUMNS, ColumnsFormat(3, {"age": "BOOL"})),
        (COLUMNS, ColumnsFormat(3, {"member": "INT8"})),
        (COLUMNS, ColumnsFormat(3, {"city": "FP32"})),
        (COLUMNS, ColumnsFormat(3, {"city": "TEXT"})),
        (COLUMNS, ColumnsFormat(3, {"answer": "FP32"})),
        (COLUMNS | {"age": ["1", 2, 3]}, ColumnsFormat(3, {"age": "BYTES"})),
        (list(COLUMNS), ColumnsFormat()),
    ],
)
def test_columns_that_have_to_be_looked_at_are_left_to_the_long_way(columns, told):
    assert PLAIN.columns(written(COLUMNS), ColumnsFormat(3)) is not None
    assert PLAIN.columns(written(columns), told) is None


def test_kinds_that_make_several_columns_are_left_to_the_long_way():
    days = PlainRows([{"name": "day", "kind": "date", "format": "%Y-%m-%d"}], [])

    assert days.frame([written([{"day": "2026-01-02"}])]) is None
    assert days.columns(written({"day": ["2026-01-02"]}), ColumnsFormat()) is None


def test_names_that_a_structure_cannot_have_are_left_to_the_long_way():
    inches = PlainRows([{"name": 'width in "', "kind": "number"}], [])

    assert inches.frame([written([{'width in "': 7}])]) is None
    assert inches.columns(written({'width in "': [7]}), ColumnsFormat()) is None


@pytest.mark.parametrize("texts", [["town", "shade"], ["town"], []])
def test_pipeline_without_its_wrapping_answers_as_with_it(write, tmp_path, texts):
    """Known, rare, unknown and missing values of text, between numbers and alone."""
    draw = np.random.default_rng(5)
    towns = [f"town {place}" for place in draw.geometric(0.004, 900)]
    shades = draw.choice(["red", "green", None], 900)
    table = pd.DataFrame({"town": towns, "size": draw.normal(size=900), "shade": shades, "age": draw.normal(size=900)})
    table = table[[name for name in table if name in ("size", "age", *texts)]]
    answer = np.where(table["size"] > 0, "big", "small")
    trial = train(write(table.assign(answer=answer)), tmp_path, target="answer", engine="quick")
    features = json.loads((trial.package / "manifest.json").read_text())["features"]
    pipeline = joblib.load(trial.package / "model" / "model.joblib")
    rows = table.copy()
    rows.iloc[:50, 0] = None
    rows.loc[50:90, texts] = "never seen"
    prepared = prepare(rows, features)

    _, encoder, encoded = pipeline.named_steps["encoder"].transformers_[0]

    assert encoded == texts
    assert not texts or len(encoder.infrequent_categories_[0]) > 50
    assert Unwrapped(pipeline).predict_proba(prepared).tolist() == pipeline.predict_proba(prepared).tolist()
    assert Unwrapped(pipeline).predict(prepared).tolist() == pipeline.predict(prepared).tolist()


class Asked:
    """A model of a number, a truth, a text and a date that answers 0 and keeps what it was asked."""

    def __init__(self, folder):
        self.rows = None
        self._model = TabularModel(
            {
                "problem_type": "regression",
                "target": "answer",
                "classes": [],
                "unused_columns": {},
                "features": [*FEATURES, {"name": "day", "kind": "date", "format": "ISO8601", "whole": True}],
                "table": {"delimiter": ",", "encoding": "utf-8"},
            },
            self,
            folder / "rows.csv",
        )

    def predict(self, rows):
        self.rows = rows
        return np.zeros(len(rows))

    def json(self, rows):
        """The rows that come to it of some."""
        return self._ask(RowFormat.JSON, rows if isinstance(rows, bytes) else written(rows))

    def columns(self, columns):
        """The rows that come to it of columns."""
        return self._ask(RowFormat.COLUMNS, written(columns))

    def csv(self, text, table_format=None):
        return self._ask(RowFormat.CSV, text if isinstance(text, bytes) else text.encode(), table_format)

    def arrow(self, table):
        return self._ask(RowFormat.ARROW, table if isinstance(table, bytes) else streamed(table))

    def _ask(self, row_format, content, table_format=None):
        self._model.answer(RowsHeader(row_format, table_format), io.BufferedReader(io.BytesIO(content)))
        return self.rows


@pytest.fixture
def model(tmp_path):
    return Asked(tmp_path)


ROW = {"age": 7.5, "member": True, "city": "Rome", "day": "2026-01-02"}
HEADER = "age,member,city,day"
LINE = "7.5,true,Rome,2026-01-02"


def streamed(table, begin=pa.ipc.new_stream):
    content = io.BytesIO()
    with begin(content, table.schema) as stream:
        stream.write_table(table)
    return content.getvalue()


def table_of(**columns):
    """Rows in Arrow, all the same but for some columns."""
    length = len(next(iter(columns.values()), [0, 0]))
    return pa.table({name: pa.array([value] * length) for name, value in ROW.items()} | columns)


@given(st.lists(ROWS | CUNNING_ROWS, min_size=1))
def test_columns_are_as_their_rows(tmp_path_factory, rows):
    model = Asked(tmp_path_factory.getbasetemp())
    full = [row | {"day": "2026-01-02"} for row in rows]

    pd.testing.assert_frame_equal(
        model.columns({name: [row[name] for row in full] for name in full[0]}), model.json(full)
    )


@pytest.mark.parametrize(
    ("columns", "trouble"),
    [
        (
            {name: [value] for name, value in ROW.items()} | {"city": ["Rome", "Oslo"]},
            "some of their columns have more",
        ),
        (ROW, "they are no object of arrays"),
        ([ROW], "they are no object of arrays"),
        ({"age": [1]}, "The data has no column 'member', 'city', 'day'"),
        ({name: [value] for name, value in ROW.items()} | {"colour": [1]}, "The data has a column that .*'colour'"),
        ({name: [value, value] for name, value in ROW.items()} | {"age": [1, "x"]}, "Row 2, column 'age': 'x'"),
        ({name: [] for name in ROW}, "There are no rows"),
    ],
)
def test_columns_that_are_not_right_are_refused(model, columns, trouble):
    with pytest.raises(InvalidInput, match=trouble):
        model.columns(columns)


@pytest.mark.parametrize(
    ("cities", "texts"),
    [
        ([1], ["1"]),
        ([1, 2], ["1", "2"]),
        ([1, None], ["1", None]),
        ([1, "x"], ["1", "x"]),
        ([1, 1.5, 1.0, True], ["1", "1.5", "1.0", "True"]),
        ([2**53 + 1, None], [str(2**53 + 1), None]),
    ],
)
def test_a_whole_number_for_a_text_is_its_digits_whatever_is_beside_it(model, cities, texts):
    rows = model.json([ROW | {"city": city} for city in cities])

    assert rows["city"].replace(np.nan, None).tolist() == texts


@pytest.mark.parametrize(
    ("cities", "texts"),
    [
        (pa.array([1, 2]), ["1", "2"]),
        (pa.array([1, None]), ["1", None]),
        (pa.array([2**64 - 1, None], pa.uint64()), [str(2**64 - 1), None]),
        (pa.array([1, None, 1]).dictionary_encode(), ["1", None, "1"]),
        (pa.array([1.5, 1.0, None]), ["1.5", "1.0", None]),
        (pa.array(["x", None]).dictionary_encode(), ["x", None]),
        (pa.array([True, None]), ["True", None]),
        (pa.nulls(2), [None, None]),
        (pa.array([None, None], pa.list_(pa.string())), [None, None]),
        (pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([1])), ["1", "1"]),
    ],
)
def test_texts_in_arrow_are_those_of_json(model, cities, texts):
    assert model.arrow(table_of(city=cities))["city"].replace(np.nan, None).tolist() == texts


@pytest.mark.parametrize(
    ("name", "column", "shown"),
    [
        ("age", pa.array([None, True]), "Row 2, column 'age': true is"),
        ("age", pa.array([[1.0]]), "Row 1, column 'age': [1.0] is"),
        ("age", pa.array([float("inf")]), "Row 1, column 'age': Infinity is"),
        ("age", pa.array([1], pa.timestamp("s", "Foo/Bar")), "a value of type timestamp[s, tz=Foo/Bar] is"),
        ("age", pa.array([date(2026, 1, 2)]), "a value of type date32[day] is"),
        ("age", pa.array([1], pa.time32("s")), "a value of type time32[s] is"),
        ("age", pa.array([1], pa.duration("s")), "a value of type duration[s] is"),
        ("age", pa.array([b"1"]), "a value of type binary is"),
        ("age", pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1.0])]), "type sparse_union<"),
        ("member", pa.array([1]), "Row 1, column 'member': 1 is"),
        ("member", pa.array([1.0]), "Row 1, column 'member': 1.0 is"),
        ("city", pa.array([{"a": 1}]), "Row 1, column 'city': {\"a\": 1} is"),
        ("city", pa.array([b"Rome"]), "a value of type binary is"),
        ("city", pa.array([b"\xff\xfe"], pa.binary(2)).dictionary_encode(), "type dictionary<"),
        ("city", pa.array([pa.MonthDayNano([1, 2, 3])]), "a value of type month_day_nano_interval is"),
        ("city", pa.array([b"0123456789abcdef"], pa.uuid()), "a value of type extension<arrow.uuid> is"),
        ("day", pa.array([2026]), "Row 1, column 'day': 2026 is"),
        ("day", pa.array([float("nan"), None, 2026.5]), "Row 3, column 'day': 2026.5 is"),
        ("day", pa.array([10**12], pa.timestamp("s")), "Row 1, column 'day': \"33658-09-27 01:46:40\" is"),
    ],
)
def test_arrow_that_a_column_cannot_take_is_refused(model, name, column, shown):
    with pytest.raises(errors.BadValue) as refused:
        model.arrow(table_of(**{name: column}))

    assert shown in str(refused.value)


@pytest.mark.parametrize(
    "table",
    [
        table_of(),
        table_of(age=pa.array([Decimal("7.5")] * 2)),
        table_of(age=pa.array(["7.5", "7.5"])),
        table_of(day=pa.array([date(2026, 1, 2)] * 2)),
        table_of(day=pa.array([1767312000] * 2, pa.timestamp("s", "Foo/Bar"))),
        pa.Table.from_pandas(pd.DataFrame([ROW] * 2).set_index("age")),
        pa.Table.from_pandas(pd.DataFrame([ROW] * 2).set_index(["city", "age"])),
        pa.Table.from_pandas(pd.DataFrame([ROW] * 2).set_axis(pd.CategoricalIndex(list(ROW)), axis=1)),
        table_of().replace_schema_metadata({"pandas": "{}"}),
        table_of().replace_schema_metadata({"pandas": "nope"}),
        table_of().replace_schema_metadata({"pandas": b"\xff"}),
    ],
)
def test_arrow_stands_for_its_values_whatever_they_are_written_in(model, table):
    """A date with an unknown zone is an instant as any other, and what pandas noted of a frame says nothing."""
    pd.testing.assert_frame_equal(model.arrow(table), model.json([ROW, ROW]))


NUMBER_TYPES = {
    pa.float64(): st.floats(allow_infinity=False),
    pa.float32(): st.floats(width=32, allow_infinity=False),
    pa.int8(): st.integers(-128, 127),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
}


@given(st.data(), st.sampled_from(list(NUMBER_TYPES)), st.sampled_from([pa.string(), pa.large_string()]))
def test_plain_arrow_is_as_prepared(data, number, text):
    rows = data.draw(
        st.lists(
            st.tuples(st.none() | NUMBER_TYPES[number], st.none() | st.booleans(), st.none() | st.text()), min_size=1
        )
    )
    types = {"age": number, "member": pa.bool_(), "city": text}
    columns = {
        name: pa.array(values, kind)
        for (name, kind), values in zip(types.items(), zip(*rows, strict=True), strict=True)
    }
    table = pa.concat_tables([pa.table(columns), pa.table(columns)])

    pd.testing.assert_frame_equal(plain_frame(table, FEATURES), prepare(as_frame(table, FEATURES), FEATURES))


@pytest.mark.parametrize(
    "odd",
    [
        {"age": pa.array([math.inf])},
        {"age": pa.array(["7"])},
        {"age": pa.array([True])},
        {"age": pa.array([Decimal("1.5")])},
        {"member": pa.array([1])},
        {"member": pa.array(["true"])},
        {"city": pa.array([1])},
        {"city": pa.array(["Rome"]).dictionary_encode()},
    ],
)
def test_arrow_that_has_to_be_looked_at_is_left_to_the_long_way(odd):
    plain = {"age": pa.array([1.5]), "member": pa.array([True]), "city": pa.array(["Rome"])}

    assert plain_frame(pa.table(plain), FEATURES) is not None
    assert plain_frame(pa.table(plain | odd), FEATURES) is None
    assert plain_frame(pa.table(plain).slice(0, 0), FEATURES) is None
    assert plain_frame(pa.table(plain), [*FEATURES[:1], FEATURES[1] | {"whole": True}]) is None


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_arrow_may_come_as_a_file_of_it(model, compression):
    """M.2: that is what `.arrow` and `.feather` are; a stream is `.arrows`."""
    content = io.BytesIO()
    feather.write_feather(table_of(), content, compression)

    pd.testing.assert_frame_equal(model.arrow(content.getvalue()), model.json([ROW, ROW]))


@pytest.mark.parametrize("begin", [pa.ipc.new_stream, pa.ipc.new_file])
def test_damaged_arrow_is_refused_or_answered(model, begin):
    """Wherever a bit of a stream has turned over: in names, notes, types, lengths and values."""
    table = table_of(day=pa.array([1, 2], pa.timestamp("s", "Europe/Rome")), city=pa.array(["a", "b"]))
    whole = streamed(table.replace_schema_metadata({"pandas": "{}"}), begin)
    answered = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        try:
            model.arrow(bytes(damaged))
        except InvalidInput:
            continue
        answered += 1

    assert 0 < answered < len(whole)


@pytest.mark.parametrize(
    ("odd", "shown"),
    [
        ({"age": float("inf")}, "'age': Infinity is not a number"),
        ({"age": True}, "'age': true is"),
        ({"age": [1.0]}, "'age': [1.0] is"),
        ({"age": "old"}, "'age': 'old' is"),
        ({"member": 1}, "'member': 1 is not a truth value"),
        ({"member": 1.5}, "'member': 1.5 is"),
        ({"city": {"a": None}}, "'city': {\"a\": null} is not a text"),
        ({"day": 2026}, "'day': 2026 is not a date"),
        ({"day": 2026.5}, "'day': 2026.5 is"),
        ({"day": False}, "'day': false is"),
    ],
)
@pytest.mark.parametrize("before", [[], [ROW], [ROW | dict.fromkeys(ROW)]])
def test_a_value_that_is_refused_is_shown_as_json_writes_it(model, odd, shown, before):
    with pytest.raises(errors.BadValue) as refused:
        model.json([*before, ROW | odd])

    assert f"Row {len(before) + 1}, column {shown}" in str(refused.value)


def test_nothing_may_be_a_nan_in_any_column(model):
    """Programs that make JSON and Arrow of frames write it so."""
    nothing = dict.fromkeys(ROW, float("nan"))

    assert model.json([ROW, nothing])[1:].isna().all(axis=None)
    assert model.arrow(pa.table({name: pa.array([value]) for name, value in nothing.items()})).isna().all(axis=None)


@pytest.mark.parametrize(
    ("rows", "trouble"),
    [
        ({"rows": []}, "they are no array of objects"),
        ([ROW, ROW, 1], "row 3 is no object"),
        ([ROW, None], "row 2 is no object"),
        ([ROW | {"city": "\ud800"}], "half of a character"),
        ([ROW | {"answer": "\udfff", "age": float("nan")}], "half of a character"),
        ([{**ROW, "\ud800": 1}], "half of a character"),
    ],
)
def test_rows_that_are_no_rows_are_refused(model, rows, trouble):
    with pytest.raises(errors.BadRows) as refused:
        model.json(rows)

    assert trouble in str(refused.value)


def test_raw_halves_of_characters_are_refused(model):
    content = written([ROW | {"age": float("nan")}]).replace(b"Rome", b"\xed\xa0\x80")

    with pytest.raises(errors.BadRows):
        model.json(content)


@pytest.mark.parametrize("city", ["\N{SNAKE}", "\\ud800", "Gr\u00fcn"])
def test_whole_characters_in_halves_are_taken(model, city):
    """Python writes them so, and a NaN beside them."""
    rows = model.json([ROW | {"city": city, "age": float("nan")}])

    assert rows["city"].tolist() == [city]


@pytest.mark.parametrize(
    "lines",
    [
        [f"{LINE},more"],
        [f"{LINE},more"] * 2,
        [f"{LINE},"] * 2,
        [f"{LINE},more", LINE],
        [LINE, f"{LINE},more"],
        [f"{LINE},more,again"],
    ],
)
def test_a_table_with_more_fields_than_columns_is_refused(model, lines):
    with pytest.raises(errors.BadRows, match="fields"):
        model.csv("\n".join([HEADER, *lines]))


@pytest.mark.parametrize("lines", [1, 9_000])
def test_a_table_with_two_columns_of_one_name_is_refused(model, lines):
    """However they differ in blanks, by which pandas tells them apart."""
    with pytest.raises(InvalidInput, match="more than one column is named 'age'"):
        model.csv(f"{HEADER},age \n" + f"{LINE},3\n" * lines)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_zero_bytes_in_a_table_are_refused(model, encoding):
    """What is before them would be answered for."""
    table = f"{HEADER}\n{LINE}\n7.5,true,Ro\0me,2026-01-02\n".encode(encoding)
    with pytest.raises(InvalidInput, match="line 3 holds a zero byte"):
        model.csv(table, TableFormat(",", encoding))


def test_zero_bytes_behind_the_end_of_a_table_are_passed_over(model):
    assert model.csv(f"{HEADER}\n{LINE}\n\x1a\0\0")["city"].tolist() == ["Rome"]


@pytest.mark.parametrize("ages", [["true"], ["", "True"], ["true", "", "false"], ["true", "7"]])
def test_truth_where_a_table_should_have_numbers_is_refused(model, ages):
    row = next(place for place, age in enumerate(ages, 1) if age)

    with pytest.raises(errors.BadValue, match=rf"Row {row}, column 'age': ('true'|true) is not a number"):
        model.csv("\n".join([HEADER, *(LINE.replace("7.5", age) for age in ages)]))


def test_numbers_in_a_table_for_a_text_stay_as_they_are_written(model):
    rows = model.csv("\n".join([HEADER, *(LINE.replace("Rome", city) for city in ("1", "1.0", "", "true"))]))

    assert rows["city"].replace(np.nan, None).tolist() == ["1", "1.0", None, "true"]


@pytest.mark.parametrize(
    ("text", "table_format", "called"),
    [
        (f"{HEADER}\n{LINE}\n".replace(",", ";"), None, "parted by commas and are parted by semicolons, has no column"),
        (f"{HEADER}\n{LINE}\n".replace(",", "\t"), None, "parted by commas and are parted by tabs, has no column"),
        (f"{HEADER}\n{LINE}\n", TableFormat("|", ""), "parted by bars and are parted by commas, has no column"),
        (f"{HEADER}\n{LINE}\n", TableFormat("x", ""), "parted by 'x' and are parted by commas, has no column"),
        ('"age" ; "member";"city";"day";"answer"\n', None, "parted by commas and are parted by semicolons,"),
        ("age;member\n7.5;true\n", None, "The data, whose fields should be parted by commas, has no column 'age'"),
        ("age\n7.5\n", None, "The data has no column 'member'"),
        ("age,town\n7.5,Rome\n", None, "The data has no column 'member'"),
    ],
)
def test_a_table_in_another_delimiter_is_told_from_one_without_the_columns(model, text, table_format, called):
    with pytest.raises(errors.MissingColumns) as refused:
        model.csv(text, table_format)

    assert called in str(refused.value)


def test_decimal_commas_are_read_in_a_dictionary_of_texts_too():
    prepared = prepare(
        pd.DataFrame({"x": pd.Categorical(["1,5", None, "2"])}), [{"name": "x", "kind": "number", "decimal": ","}]
    )

    assert prepared["x"].tolist() == [1.5, pytest.approx(np.nan, nan_ok=True), 2.0]
