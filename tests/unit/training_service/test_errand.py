"""What an errand to a cluster says of an error there."""

import pytest

from services.training import errand
from services.training.errand import gist, join


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


class Cluster:
    """Refuses to be joined with these errors, one after the other."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    def init(self, *_: object, **__: object) -> None:
        """As ray.init."""
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)


GIVEN_UP = ConnectionError("Request can't be sent because the Ray client has already been disconnected.")


def test_a_cluster_that_gave_up_at_the_beginning_is_joined_again(monkeypatch: pytest.MonkeyPatch):
    """M.8: it starts a process for whoever joins, and on a busy machine that takes long."""
    monkeypatch.setattr(errand, "JOIN_PAUSES", (0, 0, 0))
    cluster = Cluster(GIVEN_UP, ConnectionAbortedError("the port is taken"))
    join(cluster, "ray://head.example:10001")

    assert cluster.asked == 3


@pytest.mark.parametrize(("errors", "asked"), [([ConnectionError("no route")], 1), ([GIVEN_UP] * 9, 4)])
def test_a_cluster_that_cannot_be_joined_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, errors: list[Exception], asked: int
):
    """M.8."""
    monkeypatch.setattr(errand, "JOIN_PAUSES", (0, 0, 0))
    cluster = Cluster(*errors)
    with pytest.raises(ConnectionError):
        join(cluster, "ray://head.example:10001")

    assert cluster.asked == asked
