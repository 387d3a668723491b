"""Series of metrics, counted and thinned out where they are, so that a million points never leave the server."""

import math
from collections.abc import Collection
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClientSession, AsyncIOMotorCollection

from services.metadata.adapters.mongodb import queries
from services.metadata.adapters.mongodb.documents import ID, LAYOUTS, Document
from services.metadata.domain.entities import Metric
from services.metadata.domain.ports import Series
from services.metadata.domain.sampling import LARGE, SCALE, mean_of

METRICS = LAYOUTS[Metric]
NAME, SPLIT, STEP = (METRICS.fields[name].path for name in ("name", "split", "step"))

Metrics = AsyncIOMotorCollection[Document]


async def series(
    metrics: Metrics, run_id: str, names: Collection[str], split: str, session: AsyncIOMotorClientSession | None
) -> list[Series]:
    """The series of a run, in the order of name and split."""
    wanted = queries.equal(METRICS, {"run_id": run_id})
    wanted |= {NAME: {"$in": list(names)}} if names else {}
    wanted |= {SPLIT: split} if split else {}
    size = {"$abs": "$value"}
    small = {"$cond": [{"$lte": [size, LARGE]}, "$value", 0.0]}
    is_large = {"$and": [{"$gt": [size, LARGE]}, {"$lt": [size, math.inf]}]}
    large = {"$cond": [is_large, {"$divide": ["$value", SCALE]}, 0.0]}
    told = {
        "count": {"$sum": 1},
        "least": {"$min": "$value"},
        "largest": {"$max": "$value"},
        "small": {"$sum": small},
        "large": {"$sum": large},
        "first": {"$min": f"${STEP}"},
        "last": {"$max": f"${STEP}"},
    }
    group = {"$group": {ID: {"name": f"${NAME}", "split": f"${SPLIT}"}, **told}}
    stages = [{"$match": wanted}, group, {"$sort": {NAME: 1, SPLIT: 1}}]
    return [_series(run_id, each) async for each in metrics.aggregate(stages, session=session, allowDiskUse=True)]


def _series(run_id: str, told: Document) -> Series:
    least, largest = float(told["least"]), float(told["largest"])
    mean = mean_of(least, largest, told["count"], told["small"], told["large"])
    key, steps = told[ID], (int(told["first"]), int(told["last"]))
    return Series(run_id, key["name"], key["split"], told["count"], least, largest, mean, *steps)


async def peaks(
    metrics: Metrics, series: Series, width: int, session: AsyncIOMotorClientSession | None
) -> list[Metric]:
    """The smallest and the largest of each stretch of so many steps, with the first and the last."""
    key = {"run_id": series.run_id, "name": series.name, "split": series.split}
    steps = {series.first_step, series.last_step}
    if width:
        stages = [
            {"$match": {**queries.equal(METRICS, key), STEP: {"$gt": series.first_step}}},
            _extremes(series, width),
        ]
        async for each in metrics.aggregate(stages, session=session, allowDiskUse=True):
            steps |= {int(each["least"]["step"]), -int(each["largest"]["step"])}
    run_id = METRICS.fields["run_id"].codec.encode(series.run_id)
    ids = [{**key, "run_id": run_id, "step": step} for step in sorted(steps)]
    return [METRICS.decode(each) async for each in metrics.find({ID: {"$in": ids}}, sort=[(ID, 1)], session=session)]


def _extremes(series: Series, width: int) -> dict[str, Any]:
    """Documents are compared field by field, so that of equal values the one of the lowest step is found."""
    last = (series.last_step - series.first_step - 1) // width
    beyond = {"$subtract": [f"${STEP}", series.first_step + 1]}
    stretch = {"$min": [{"$floor": {"$divide": [beyond, width]}}, last]}  # large steps are divided roughly
    least = {"value": "$value", "step": f"${STEP}"}
    largest = {"value": "$value", "step": {"$multiply": [-1, f"${STEP}"]}}
    return {"$group": {ID: stretch, "least": {"$min": least}, "largest": {"$max": largest}}}
