"""What programs and people are told of an error."""

from servicekit.errors import AlreadyExists, NotFound


class MetricNotANumber(NotFound):
    """Its name has a word of one letter."""


def test_the_name_for_programs_parts_every_word():
    """000.11."""
    reasons = [kind().reason for kind in (MetricNotANumber, NotFound, AlreadyExists)]

    assert reasons == ["METRIC_NOT_A_NUMBER", "NOT_FOUND", "ALREADY_EXISTS"]
