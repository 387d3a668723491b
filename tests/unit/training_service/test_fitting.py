"""What is told of the widest table fits into a message."""

import pytest

from services.training.adapters.fitting import fitted
from services.training.converters import inspection_to
from services.training.domain.inspection import (
    PROBABILITIES,
    Column,
    ColumnKind,
    Inspection,
    Quantile,
    Statistics,
    ValueCount,
)
from services.training.domain.model import TableFormat
from services.training.domain.sniffing import MAXIMUM_COLUMNS

MOMENT = "2026-01-01T00:00:00.123456789Z"
LARGE = "-9223372036854775807"
LONG_NAME = 1024 * 1024 // MAXIMUM_COLUMNS


def measured(kind: ColumnKind, value: float | str) -> Statistics:
    return Statistics(kind, value, value, value, [Quantile(part, value) for part in PROBABILITIES], True)


def inspected(count: int, statistics: Statistics, name_length: int) -> Inspection:
    names = [f"c{place}".ljust(name_length, "x") for place in range(count)]
    columns = [Column(name, "float64", 10**9, 10**9, True, statistics) for name in names]
    value = statistics.least if statistics.least is not None else "x" * 9
    return Inspection(TableFormat(), columns, 10**9, [dict.fromkeys(names, value)] * 10)


@pytest.mark.parametrize(
    ("statistics", "name_length"),
    [
        (measured(ColumnKind.NUMBER, 1), 6),
        (measured(ColumnKind.NUMBER, LARGE), LONG_NAME),
        (measured(ColumnKind.TIME, MOMENT), LONG_NAME),
        (Statistics(ColumnKind.TEXT, top_values=[ValueCount("x" * 20, 10**9)] * 10, top_values_error=10**9), LONG_NAME),
    ],
    ids=["numbers", "large numbers", "times", "texts"],
)
def test_as_many_columns_as_a_table_may_have_fit_into_a_message(statistics: Statistics, name_length: int):
    """002.8: whatever is in them, and however long their names are."""
    message = inspection_to(fitted(inspected(MAXIMUM_COLUMNS, statistics, name_length)))

    assert message.ByteSize() < 4 * 1024 * 1024
    assert len(message.columns) == MAXIMUM_COLUMNS
    assert message.columns[0].HasField("min") == (statistics.least is not None)


def test_of_few_columns_everything_is_told():
    """002.8: the quantiles of a thousand columns, and the whole sample."""
    inspection = inspected(1000, measured(ColumnKind.TIME, MOMENT), 6)

    assert fitted(inspection).columns == inspection.columns
    assert len(fitted(inspection).sample) == 10
