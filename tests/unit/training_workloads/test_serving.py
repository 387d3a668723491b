"""Rows on their way to a model: the short ways give what the long ones give (M.2)."""

import json

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.workloads.tabular.plain import PlainRows
from services.training.workloads.tabular.templates.load_model import prepare
from services.training.workloads.tabular.unwrapped import Unwrapped
from tests.unit.training_workloads.trial import train

FEATURES = [
    {"name": "age", "kind": "number"},
    {"name": "member", "kind": "boolean"},
    {"name": "city", "kind": "category"},
]
ROWS = st.fixed_dictionaries(
    {
        "age": st.none() | st.integers(-(10**300), 10**300) | st.floats(allow_infinity=False, allow_nan=False),
        "member": st.none() | st.booleans(),
        "city": st.none() | st.text(),
    }
)


PLAIN = PlainRows(FEATURES, ["answer"])


def written(rows):
    return json.dumps(rows).encode()


@given(st.lists(ROWS, min_size=1))
def test_plain_rows_are_as_prepared_ones(rows):
    plain = pd.DataFrame(PLAIN.columns(written(rows)))
    long_way = prepare(pd.DataFrame({name: [row[name] for row in rows] for name in rows[0]}, dtype=object), FEATURES)

    pd.testing.assert_frame_equal(plain, long_way)


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

    assert PLAIN.columns(written(rows[:1])) is not None
    assert PLAIN.columns(written(rows)) is None


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
    assert PLAIN.columns(content) is None


def test_columns_that_may_be_there_are_passed_over():
    plain, told = {"age": 1, "member": True, "city": None}, {"answer": ["whatever", {"it": 1}]}

    assert {name: list(column) for name, column in PLAIN.columns(written([plain | told, plain])).items()} == {
        "age": [1.0, 1.0],
        "member": [1.0, 1.0],
        "city": [pytest.approx(np.nan, nan_ok=True)] * 2,
    }


def test_kinds_that_make_several_columns_are_left_to_the_long_way():
    days = PlainRows([{"name": "day", "kind": "date", "format": "%Y-%m-%d"}], [])

    assert days.columns(written([{"day": "2026-01-02"}])) is None


def test_names_that_a_structure_cannot_have_are_left_to_the_long_way():
    inches = PlainRows([{"name": 'width in "', "kind": "number"}], [])

    assert inches.columns(written([{'width in "': 7}])) is None


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
