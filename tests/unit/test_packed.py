"""Numbers of a message without an object for each (M.2)."""

import math
from array import array

import pytest

from modelyard.training.v1.training_pb2 import PredictResponse
from servicekit.packed import add_doubles, doubles_of

SPECIAL = [0.0, -0.0, 1.5, math.inf, -math.inf, 5e-324, 1.7976931348623157e308]


@pytest.mark.parametrize("numbers", [[], [0.25], SPECIAL, [n / 7 for n in range(5000)]])
def test_what_is_added_is_what_others_read(numbers: list[float]) -> None:
    """A message is the same as one that was made number by number, whatever else it has (M.2)."""
    made = PredictResponse(row_count=3, class_indexes=[0, 2, 1])
    add_doubles(made, "probabilities", array("d", numbers))
    assert made == PredictResponse(row_count=3, class_indexes=[0, 2, 1], probabilities=numbers)


@pytest.mark.parametrize("numbers", [[], [0.25], SPECIAL, [n / 7 for n in range(5000)]])
def test_what_others_write_is_read(numbers: list[float]) -> None:
    """Numbers come out of any message that has them, and of that field only (M.2)."""
    written = PredictResponse(row_count=3, values=[9.0], class_indexes=[1], probabilities=numbers)
    assert doubles_of(written, "probabilities").tolist() == numbers
    assert doubles_of(written, "values").tolist() == [9.0]


def test_numbers_are_added_to_those_that_are_there() -> None:
    """What was there stays, in front, and what is no number stays none (M.2)."""
    message = PredictResponse(values=[1.0])
    add_doubles(message, "values", array("d", [2.0, math.nan]))
    one, two, nothing = doubles_of(message, "values")
    assert (one, two) == (1.0, 2.0)
    assert math.isnan(nothing)
