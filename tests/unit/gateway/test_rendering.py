"""Answers for many rows are written as JSON (M.2)."""

import orjson
import pytest

from gateway.rendering import by_name


@pytest.mark.parametrize("names", [["no", "yes"], ["100 %", "%s"], ['6"', "back\\slash"], ["ü\n", ""]])
def test_rows_of_numbers_are_told_by_name(names):
    numbers = [0.25, 0.75, 1.0, 0.0, 1e-17, 1 / 3]

    told = orjson.loads(orjson.dumps({"rows": by_name(names, numbers)}))

    assert told == {"rows": [dict(zip(names, numbers[start : start + 2], strict=True)) for start in (0, 2, 4)]}


def test_what_is_no_number_is_null():
    assert orjson.loads(orjson.dumps(by_name(["x"], [float("nan")]))) == [{"x": None}]
