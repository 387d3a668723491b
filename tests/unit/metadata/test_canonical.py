"""One form for every record: what is the same is the same bytes, and what is read is what was written."""

import json
import math
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from services.metadata.adapters.mongodb.queries import next_object_id
from services.metadata.domain.canonical import Malformed, document, form_of, number
from services.metadata.domain.declarations import ENTITIES
from services.metadata.domain.entities import Metric, Run

FORM = form_of(Metric)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
DOCUMENTS = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    ),
    max_size=4,
)


def metric(value: float = 0.5, moment: datetime = datetime(2026, 1, 2, tzinfo=UTC)) -> Metric:
    return Metric("r", "loss", "train", 5, value, moment)


def test_a_record_as_it_is_written():
    written = FORM.encode(metric(1.0))

    assert written == (
        b'{"measure_time":"2026-01-02T00:00:00.000000Z","name":"loss","run_id":"r","split":"train","step":5,"value":1}'
    )
    assert FORM.position(metric()) == '["r","loss","train",5]'


@pytest.mark.parametrize(
    ("value", "written"),
    [(1.0, "1"), (-0.0, "0"), (0.1, "0.1"), (math.inf, '"Infinity"'), (-math.inf, '"-Infinity"'), (1e22, "1e+22")],
)
def test_numbers_by_their_rules(value: float, written: str):
    assert FORM.encode(metric(value)).endswith(f'"value":{written}}}'.encode())


def test_the_largest_number_is_the_one_before_it():
    """MySQL keeps the largest in place of an infinity."""
    assert FORM.decode(FORM.encode(metric(sys.float_info.max))).value == math.nextafter(sys.float_info.max, 0)


@pytest.mark.parametrize("whole", [1, 2**53 - 1, 2**53, 2**60, 10**18, 10**22, 10**300])
def test_a_whole_number_is_written_alike_as_int_and_as_float(whole: int):
    """As JSONB makes ints of floats."""
    near = float(whole)
    expanded = int(repr(near).replace(".0", "")) if "e" not in repr(near) else whole

    assert number(near) == number(expanded)


def test_an_int_that_no_float_is_stays_as_it_is():
    assert number(2**63 - 1) == "9223372036854775807"


@given(DOCUMENTS)
def test_documents_come_back(told: dict):
    run = Run(id="r", tags=told)
    written = form_of(Run).encode(run)
    read = form_of(Run).decode(written)

    assert read.tags == told
    assert form_of(Run).encode(read) == written
    assert json.loads(document(told)) == told


@given(st.floats(allow_nan=False), st.datetimes(min_value=datetime(1000, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001
def test_numbers_and_times_come_back(value: float, moment: datetime):
    given_ = metric(value, moment.replace(tzinfo=timezone(timedelta(hours=5))))
    read = FORM.decode(FORM.encode(given_))

    assert read.measure_time == given_.measure_time
    assert read.value == value or abs(value) == sys.float_info.max
    assert FORM.encode(read) == FORM.encode(given_)


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_kind_can_be_written_and_read(entity: str):
    declaration = ENTITIES[entity]
    record = declaration.kind(**dict.fromkeys(declaration.key[:1], "x"))
    form = form_of(declaration.kind)

    assert form.decode(form.encode(record)) == record
    assert form.key_at(form.position(record)) == form.key(record)


@pytest.mark.parametrize("value", ["1e999", "1" * 400, '"inf"', "true", "null", "[]"])
def test_a_number_that_is_none_is_refused(value: str):
    written = FORM.encode(metric()).replace(b":0.5", f":{value}".encode())
    with pytest.raises(Malformed, match="its value is"):
        FORM.decode(written)


@given(st.text("0123456789abcdefgAZ_-", max_size=26), st.text("0123456789abcdef", min_size=24, max_size=24))
def test_the_next_object_id_is_the_first_whose_text_comes_later(text: str, other: str):
    if ObjectId.is_valid(text) and text == text.lower():
        return
    following = next_object_id(text)

    assert following is None or str(following) > text
    assert (other > text) == (following is not None and other >= str(following))
