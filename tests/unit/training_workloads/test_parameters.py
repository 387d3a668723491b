"""What is said of parameters that are wrong."""

from typing import Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.training.domain.errors import BadParameters
from services.training.workloads.kit.parameters import parse


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    depth: int = 1


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: int = 1
    inner: Inner = Inner()
    least_size: int = Field(default=0, alias="leastSize")
    share: float | None = None
    pruned: bool | int = False

    @model_validator(mode="after")
    def _lucky(self) -> Self:
        if self.count == 13:
            raise ValueError("Thirteen is unlucky")
        return self


@pytest.mark.parametrize(
    ("given", "trouble"),
    [
        ({"count": 13}, "thirteen is unlucky"),
        ({"count": "x"}, "count: input should be a valid integer, unable to parse string as an integer"),
        ({"leastSize": "x"}, "leastSize: input should be a valid integer, unable to parse string as an integer"),
        ({"least_size": 3}, "'least_size' is not one of them"),
        ({"inner": {"count": 1}}, "inner.count: extra inputs are not permitted"),
        ({"count": True}, "count: it should be a number, not true or false"),
        ({"leastSize": False}, "leastSize: it should be a number, not true or false"),
        ({"share": True}, "share: it should be a number, not true or false"),
    ],
)
def test_it_names_what_is_wrong_as_it_was_given_and_what_there_is(given, trouble):
    """000.11: in the words of the workload's author, and by the names that a caller may give."""
    with pytest.raises(BadParameters) as raised:
        parse(Asked, given)

    assert raised.value.facts == {"trouble": trouble, "known": "count, inner, leastSize, share, pruned"}


def test_truth_is_taken_where_it_is_wanted():
    assert parse(Asked, {"pruned": True, "share": 1}).model_dump(include={"pruned", "share"}) == {
        "pruned": True,
        "share": 1.0,
    }
