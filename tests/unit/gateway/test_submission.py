"""What a wish for a training may hold."""

import pytest
from pydantic import ValidationError

from gateway.flows.submission import WholeNumberTooLarge, Wish, check_exact, settle
from modelyard.metadata.v1.dataset_pb2 import Dataset
from modelyard.training.v1.training_pb2 import CheckTrainingResponse, TrainRequest

MOST = 2**53


@pytest.mark.parametrize("parameters", [f'{{"a": {MOST + 1}}}', f'{{"a": [{{"b": {-(2**70) - 1}}}]}}'])
def test_a_whole_number_that_would_become_another_one_is_refused(parameters):
    """000.11: a double holds not every whole number beyond 2^53; this also as text of a form, which is read here."""
    with pytest.raises(WholeNumberTooLarge, match="write it as text"):
        check_exact(Wish(parameters=parameters).asked)
    with pytest.raises(WholeNumberTooLarge):
        check_exact(Wish(seed=MOST + 1).asked)


def test_what_a_double_holds_and_text_are_taken():
    asked = Wish(parameters=f'{{"a": {MOST}, "b": {-MOST}, "c": 1e300, "d": "{MOST + 1}", "e": true}}').asked
    check_exact(asked)

    assert asked == {"a": MOST, "b": -MOST, "c": 1e300, "d": str(MOST + 1), "e": True}


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ('{"a"', "it is no JSON: Expecting ':' delimiter"),
        ("[" * 100_000, "it is no JSON: "),
        ('{"inf": 1e999}', "a number in it is NaN or infinite"),
    ],
)
def test_what_is_said_of_parameters_begins_with_no_word_of_a_library(parameters, sentence):
    """000.11."""
    with pytest.raises(ValidationError) as raised:
        Wish(parameters=parameters)

    assert raised.value.errors()[0]["msg"].startswith(sentence)


@pytest.mark.parametrize("name", ["time_limit", "seed", "test_fraction"])
def test_truth_is_no_number(name):
    """000.11: for pydantic it is 0 or 1."""
    with pytest.raises(ValidationError, match="it should be a number, not true or false"):
        Wish(**{name: True})


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"time_limit": 7.5}, {"time_limit": 7.5}),
        ({"time_limit": 7}, {"time_limit": 7}),
        ({"time_limit": "7"}, {"time_limit": 7}),
        ({"presets": ["medium_quality", "optimize_for_deployment"]},) * 2,
    ],
)
def test_a_field_takes_what_the_parameter_it_is_short_for_takes(given, asked):
    """002.9: the last of a form, where all is text."""
    wish = Wish(**given)

    assert wish.asked == asked
    assert all(type(wish.asked[name]) is type(value) for name, value in asked.items())


def test_a_model_whose_name_was_made_can_be_asked_by_it():
    """M.2: the name is a part of an address, which ends at a slash."""
    request = TrainRequest()
    settle(request, CheckTrainingResponse(target="price/m2"), Dataset(name="flats"))

    assert request.model_name == "flats-price-m2"
