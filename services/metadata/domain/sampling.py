"""Series of metrics in a few points each, whatever their length: no peak is lost, and nothing is sent in vain."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.metadata.domain.entities import Metric, Run
from services.metadata.domain.errors import FieldMalformed, TooManyAtOnce
from services.metadata.domain.ports import Query, Reader, Series
from services.metadata.domain.records import get_from

MOST_RUNS = 100
USUAL_POINTS = 500
POINTS = range(2, 10_001)
ENDS = 2
SCALE = 2.0**64
"""Large values are added up as so much smaller ones, so that no sum is too large for a database."""
LARGE = 1e280


@dataclass(frozen=True)
class Sampled:
    """A series, and those of its points that show how it goes."""

    series: Series
    metrics: list[Metric]


async def sample(
    reader: Reader, run_ids: Sequence[str], names: Collection[str], split: str, max_points: int
) -> list[Sampled]:
    """The series of runs, each with at most so many points; RecordNotFound for a run that does not exist."""
    if not 1 <= len(run_ids) <= MOST_RUNS:
        raise TooManyAtOnce("run_ids", count=len(run_ids), limit=MOST_RUNS)
    points = max_points or USUAL_POINTS
    if points not in POINTS:
        raise FieldMalformed("max_points", problem=str(max_points), advice=f"It is {POINTS[0]} to {POINTS[-1]}")
    sampled = []
    for run_id in dict.fromkeys(run_ids):
        await get_from(reader, Run, run_id)
        sampled += [
            Sampled(each, await _points(reader, each, points)) for each in await reader.series(run_id, names, split)
        ]
    return sampled


async def _points(reader: Reader, series: Series, most: int) -> list[Metric]:
    if series.count <= most:
        where = {"run_id": series.run_id, "name": series.name, "split": series.split}
        return await reader.find(Metric, Query(where, limit=most))
    return await reader.peaks(series, width_of(series, most))


def width_of(series: Series, most: int) -> int:
    """How many steps a stretch has, so that two points of each and both ends are no more than so many.

    The first point is in no stretch. There is none when there is room for the ends alone: then it is 0.
    """
    stretches = (most - ENDS) // 2
    return -(-(series.last_step - series.first_step) // stretches) if stretches else 0


def mean_of(least: float, largest: float, count: int, small: float, large: float) -> float:
    """The mean of values: of so many, with the sum of the small ones, and the sum of the large ones by `SCALE`."""
    if math.isinf(least) and math.isinf(largest) and least < largest:
        return math.nan
    if math.isinf(least) or math.isinf(largest):
        return largest if math.isinf(largest) else least
    return small / count + large / count * SCALE
