"""Runs in the order of one of their metrics, by the index of what metrics came to."""

from typing import Any

from motor.motor_asyncio import AsyncIOMotorClientSession, AsyncIOMotorDatabase

from services.metadata.adapters.mongodb import filtering, queries
from services.metadata.adapters.mongodb.documents import ID, LAYOUTS, Document, Layout
from services.metadata.domain.entities import MetricSummary, Run
from services.metadata.domain.filters import needs_metric
from services.metadata.domain.ports import Ordering, Query

FEW = 3_000
"""Runs that are sorted quicker than the others are passed over."""
RUN = "_run"


async def runs_by_metric(
    database: "AsyncIOMotorDatabase[Document]", query: Query, session: AsyncIOMotorClientSession | None
) -> list[Any]:
    """The runs that a query asks for: those that have the metric, then the others, newest first."""
    runs, summaries = LAYOUTS[Run], LAYOUTS[MetricSummary]
    ordering, found = query.order[0], list[Document]()
    if query.after is None or query.after[0] is not None:
        few = bool(query.where) and await _are_few(database, runs, query, session)
        begin, stages = (runs, _from_runs(runs, query)) if few else (summaries, _from_summaries(runs, query))
        cursor = database[begin.collection].aggregate(stages, session=session, allowDiskUse=True)
        found = await cursor.to_list(None)
    if len(found) < query.limit and not needs_metric(query.where_true, ordering.metric or ("", "")):
        stages = _without(runs, query, ordering, query.limit - len(found))
        cursor = database[runs.collection].aggregate(stages, session=session, allowDiskUse=True)
        found += await cursor.to_list(None)
    return [runs.decode(document) for document in found]


async def _are_few(
    database: "AsyncIOMotorDatabase[Document]", runs: Layout, query: Query, session: AsyncIOMotorClientSession | None
) -> bool:
    condition = queries.equal(runs, query.where)
    return await database[runs.collection].count_documents(condition, limit=FEW + 1, session=session) <= FEW


def _conditions(runs: Layout, query: Query) -> list[Document]:
    """What has to be so, the position aside."""
    told = [part for part in (queries.equal(runs, query.where), queries.before(runs, query.before)) if part]
    stages: list[Document] = [{"$match": {"$and": told}}] if told else []
    if query.where_true is not None:
        stages += [*filtering.joined(runs, query.where_true), {"$match": filtering.true_of(runs, query.where_true)}]
    return stages


def _beyond(value_path: str, id_path: str, query: Query) -> list[Document]:
    if query.after is None:
        return []
    compare = "$lt" if query.order[0].descending else "$gt"
    value, run_id = query.after[0], LAYOUTS[Run].fields["id"].codec.encode(query.after[-1])
    at_the_same = {value_path: value, id_path: {compare: run_id}}
    return [{"$match": {value_path: {f"{compare}e": value}, "$or": [{value_path: {compare: value}}, at_the_same]}}]


def _from_summaries(runs: Layout, query: Query) -> list[Document]:
    """Along the index of the metric, as far as the first runs that are asked for."""
    name, split = query.order[0].metric or ("", "")
    way = -1 if query.order[0].descending else 1
    lookup = {"from": runs.collection, "localField": f"{ID}.run_id", "foreignField": ID, "as": RUN}
    return [
        {"$match": {f"{ID}.name": name, f"{ID}.split": split}},
        *_beyond("value", f"{ID}.run_id", query),
        {"$sort": {"value": way, f"{ID}.run_id": way}},
        {"$lookup": lookup},
        {"$unwind": f"${RUN}"},
        {"$replaceRoot": {"newRoot": f"${RUN}"}},
        *_conditions(runs, query),
        {"$limit": query.limit},
    ]


def _from_runs(runs: Layout, query: Query) -> list[Document]:
    """All the runs that are asked for, and then those of them that come first."""
    ordering = query.order[0]
    metric, way = ordering.metric or ("", ""), -1 if ordering.descending else 1
    field = filtering.field_of(metric)
    return [
        *_conditions(runs, query),
        filtering.by_metric(metric),
        {"$unwind": f"${field}"},
        *_beyond(f"{field}.value", ID, query),
        {"$sort": {f"{field}.value": way, ID: way}},
        {"$limit": query.limit},
    ]


def _without(runs: Layout, query: Query, ordering: Ordering, limit: int) -> list[Document]:
    metric = ordering.metric or ("", "")
    position = query.after[1:] if query.after is not None and query.after[0] is None else None
    rest = queries.after(runs, Query(after=position))
    return [
        *([{"$match": rest}] if rest else []),
        {"$sort": dict(queries.order(runs))},
        *_conditions(runs, query),
        filtering.by_metric(metric),
        {"$match": {filtering.field_of(metric): []}},
        {"$limit": limit},
    ]
