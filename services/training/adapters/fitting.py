"""Leaves out of an inspection what a message of gRPC, which holds 4 MiB, has no room for."""

import json
from dataclasses import replace
from typing import Any

from services.training.adapters.tally import TOP
from services.training.domain.inspection import Column, Inspection

MESSAGE_BYTES = 4 * 1024 * 1024 - 64 * 1024
COLUMNS_BYTES = 3 * 1024 * 1024
SAMPLE_BYTES = 512 * 1024
TOP_BYTES = 512 * 1024
# How much a sample grows on its way into a message, from JSON.
GROWTH = 3


def fitted(inspection: Inspection) -> Inspection:
    """As much as there is room for, the same for every column: fewer frequent values, no quantiles, a shorter sample.

    For at most as many columns as a table may have, with names of 1 MiB in all.
    """
    columns = _with_less_on_top(inspection.columns)
    if sum(map(_size, columns)) > COLUMNS_BYTES:
        columns = [_without_quantiles(column) for column in columns]
    room = MESSAGE_BYTES - sum(map(_size, columns))
    return replace(inspection, columns=columns, sample=_within(inspection.sample, min(SAMPLE_BYTES, room // GROWTH)))


def _size(column: Column) -> int:
    """The bytes of a column in a message, rather too many than too few."""
    told = column.statistics
    scalars = [told.least, told.greatest, told.mean, *(one.value for one in told.quantiles)]
    texts = [column.name, *(value for value in scalars if isinstance(value, str))]
    top = sum(len(one.value.encode()) + 12 for one in told.top_values)
    return 48 + 24 * len(scalars) + sum(len(text.encode()) for text in texts) + top


def _with_less_on_top(columns: list[Column]) -> list[Column]:
    count = next((count for count in range(TOP, 0, -1) if _top_bytes(columns, count) <= TOP_BYTES), 0)
    return [_with_top(column, count) for column in columns]


def _top_bytes(columns: list[Column], count: int) -> int:
    return sum(len(one.value.encode()) + 8 for column in columns for one in column.statistics.top_values[:count])


def _with_top(column: Column, count: int) -> Column:
    return replace(column, statistics=replace(column.statistics, top_values=column.statistics.top_values[:count]))


def _without_quantiles(column: Column) -> Column:
    return replace(column, statistics=replace(column.statistics, quantiles=[], quantiles_estimated=False))


def _within(sample: list[dict[str, Any]], left: int) -> list[dict[str, Any]]:
    for count, row in enumerate(sample):
        left -= len(json.dumps(row))
        if left < 0:
            return sample[:count]
    return sample
