"""Writes many metrics at once: new ones in bulk, and only those that are there already one over the other."""

from collections.abc import Iterator, Sequence
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClientSession, AsyncIOMotorCollection
from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError

from services.metadata.adapters.mongodb.documents import ID, Document, Layout
from services.metadata.adapters.mongodb.failures import is_taken
from services.metadata.domain.entities import Metric, MetricSummary
from services.metadata.domain.summaries import rank

Key = tuple[Any, ...]
SPARSE = 4
"""How many steps to a metric make a series too thin to be looked at from its first step to its last."""


class Overtaken(Exception):
    """Another unit of work wrote the same metrics at the same time; this one has to be done again."""


async def put(
    collection: "AsyncIOMotorCollection[Document]",
    layout: Layout,
    metrics: Sequence[Metric],
    session: AsyncIOMotorClientSession | None,
) -> None:
    """Write metrics, each over the one of its key; the last of a key counts."""
    documents = {_key(metric): layout.encode(metric) for metric in metrics}
    there = await _there(collection, layout, metrics, session)
    new = [document for key, document in documents.items() if key not in there]
    known = [
        ReplaceOne({ID: document[ID]}, document, upsert=True) for key, document in documents.items() if key in there
    ]
    if known:
        await collection.bulk_write(known, ordered=False, session=session)
    if new:
        try:
            await collection.insert_many(new, ordered=False, session=session)
        except BulkWriteError as error:
            if is_taken(error):
                raise Overtaken from error
            raise


async def put_summaries(
    collection: "AsyncIOMotorCollection[Document]",
    layout: Layout,
    summaries: Sequence[MetricSummary],
    session: AsyncIOMotorClientSession | None,
) -> None:
    """Write summaries, each over the one of its key unless that has a higher rank."""
    writes = [UpdateOne({ID: layout.key(each)}, [{"$set": _higher(each)}], upsert=True) for each in summaries]
    try:
        await collection.bulk_write(writes, ordered=False, session=session)
    except BulkWriteError as error:
        if is_taken(error):
            raise Overtaken from error
        raise


def _higher(summary: MetricSummary) -> Document:
    """The fields of the summary, or those that are there. All of them are compared as they were."""
    kept = [{"$ifNull": [f"${name}", -1]} for name in ("precedence", "step")]
    stays = {"$gt": [kept, list(rank(summary))]}
    return {name: {"$cond": [stays, f"${name}", getattr(summary, name)]} for name in ("precedence", "step", "value")}


def _key(metric: Metric) -> Key:
    return (metric.run_id, metric.name, metric.split, metric.step)


async def _there(
    collection: "AsyncIOMotorCollection[Document]",
    layout: Layout,
    metrics: Sequence[Metric],
    session: AsyncIOMotorClientSession | None,
) -> set[Key]:
    """Which of the metrics' keys there are."""
    series: dict[Key, list[Metric]] = {}
    for metric in metrics:
        series.setdefault(_key(metric)[:-1], []).append(metric)
    conditions = [{ID: each} for members in series.values() for each in _keys(layout, members)]
    found = collection.find({"$or": conditions}, [ID], session=session)
    return {(str(each["run_id"]), each["name"], each["split"], each["step"]) for each in [d[ID] async for d in found]}


def _keys(layout: Layout, members: Sequence[Metric]) -> Iterator[Any]:
    """A condition for a series: from its first step to its last, or one by one where they lie far apart."""
    first, last = min(members, key=lambda each: each.step), max(members, key=lambda each: each.step)
    if last.step - first.step < SPARSE * len(members):
        yield {"$gte": layout.key(first), "$lte": layout.key(last)}
    else:
        yield {"$in": [layout.key(each) for each in members]}
