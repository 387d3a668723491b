"""Records and answers are written as JSON (M.2)."""

import orjson
import pytest

from gateway.flows.engine import as_struct
from gateway.rendering import by_name, plain


@pytest.mark.parametrize("names", [["no", "yes"], ["100 %", "%s"], ['6"', "back\\slash"], ["ü\n", ""]])
def test_rows_of_numbers_are_told_by_name(names):
    numbers = [0.25, 0.75, 1.0, 0.0, 1e-17, 1 / 3]

    told = orjson.loads(orjson.dumps({"rows": by_name(names, numbers)}))

    assert told == {"rows": [dict(zip(names, numbers[start : start + 2], strict=True)) for start in (0, 2, 4)]}


def test_what_is_no_number_is_null():
    assert orjson.loads(orjson.dumps(by_name(["x"], [float("nan")]))) == [{"x": None}]


def test_a_record_comes_out_as_it_went_in():
    """A class may be called Infinity; only a number that is none becomes null."""
    record = {"names": ["Infinity", "NaN", "-Infinity", ""], "count": 3, "big": 2.0**60, "share": 0.5, "no": None}

    assert plain(as_struct({"inner": [record, True, []]})) == {"inner": [record, True, []]}

    struct = as_struct({"x": 1})
    struct.fields["x"].number_value = float("inf")

    assert plain(struct) == {"x": None}
