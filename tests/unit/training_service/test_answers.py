"""What a model's process answers, before it is passed on."""

from array import array

import pytest

from services.training.domain.answers import AnswersHeader
from services.training.domain.model import ProblemType

CLASSES = AnswersHeader(2, ProblemType.MULTICLASS, ["a", "b", "c"])
NUMBERS = AnswersHeader(2, ProblemType.REGRESSION, [])
FOUND = AnswersHeader(2, ProblemType.OBJECT_DETECTION, ["a", "b"])
CHANCES = array("d", [0.1] * 6).tobytes()


@pytest.mark.parametrize(
    ("header", "content"),
    [(CLASSES, array("i", [2, 0]).tobytes() + CHANCES), (NUMBERS, array("d", [1, 2]).tobytes()), (FOUND, b"")],
)
def test_answers_are_as_they_are_announced(header: AnswersHeader, content: bytes):
    """000.12: what a workload of somebody else's answers is looked at before anybody counts on it."""
    header.check(content)

    with pytest.raises(ValueError, match="bytes of answers are announced"):
        header.check(content + b"12345678")
    with pytest.raises(ValueError, match="bytes of answers are announced"):
        header.check(content[:-8] or b"1")


@pytest.mark.parametrize("places", [[0, 3], [-1, 0]])
def test_an_answer_is_one_of_the_classes(places: list[int]):
    """000.12: one that is not would end the call that reads it."""
    with pytest.raises(ValueError, match="none of the 3 classes"):
        CLASSES.check(array("i", places).tobytes() + CHANCES)
