"""What an errand to a cluster says of an error there."""

import pytest

from services.training.errand import gist


class OverTheWire(Exception):
    """As gRPC's, which is written over several lines, the last of which is a bracket."""

    def details(self) -> str:
        return "Socket closed."

    def __str__(self) -> str:
        return "<Call:\n\tdetails = ...\n>"


class Bare(Exception):
    """Without a word."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OverTheWire(), "Socket closed"),
        (ValueError("<A story\nof some lines\n>\n"), "of some lines"),
        (ConnectionError("refused."), "refused"),
        (Bare(), "Bare"),
    ],
)
def test_the_last_line_that_says_something_is_told(error: Exception, said: str):
    """M.8: it becomes part of a sentence."""
    assert gist(error) == said
