"""Reads, and the reads and writes of one unit of work."""

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeVar

from motor.motor_asyncio import AsyncIOMotorClientSession, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import DeleteOne, ReplaceOne, ReturnDocument, UpdateOne

from services.metadata.adapters.mongodb import bulk, filtering, measuring, queries, ranking, sampling
from services.metadata.adapters.mongodb.documents import ID, LAYOUTS, Document, Layout, Values, layout_named
from services.metadata.adapters.mongodb.failures import unique
from services.metadata.adapters.mongodb.views import SOURCES, VIEWS, View
from services.metadata.domain import declarations
from services.metadata.domain.entities import Job, Metric, MetricSummary, Record, SearchText
from services.metadata.domain.ports import BrokenReference, Query, Series

E = TypeVar("E")
R = TypeVar("R", bound=Record)

HELD = "held"
SLOTS = 16
"""How many places there are to hold on to one record: two units that do so meet in one of 16."""

Database = AsyncIOMotorDatabase[Document]
Session = AsyncIOMotorClientSession | None


class MongoReader:
    """Reads documents, in a session or outside of any."""

    def __init__(self, database: Database, session: Session = None) -> None:
        self._database = database
        self._session = session

    def _collection(self, layout: Layout) -> "AsyncIOMotorCollection[Document]":
        return self._database[layout.collection]

    async def get(self, kind: type[R], record_id: str) -> R | None:
        """The record of this id."""
        return (await self.get_all(kind, [record_id])).get(record_id)

    async def get_all(self, kind: type[R], record_ids: Collection[str]) -> dict[str, R]:
        """The records that there are of these ids."""
        layout = LAYOUTS[kind]
        ids = [each for record_id in record_ids for each in layout.ids(record_id)]
        cursor = self._collection(layout).find({ID: {"$in": ids}}, session=self._session)
        records = [layout.decode(document) for document in await cursor.to_list(None)]
        return {record.id: record for record in records}

    async def find(self, kind: type[E], query: Query) -> list[E]:
        """The records that a query asks for, in order."""
        layout = LAYOUTS[kind]
        if query.order and query.order[0].metric:
            found: list[E] = await ranking.runs_by_metric(self._database, query, self._session)
            return found
        if query.order or query.where_true is not None:
            stages = filtering.stages(layout, query)
            pipeline = self._collection(layout).aggregate(stages, session=self._session, allowDiskUse=True)
            return [layout.decode(document) for document in await pipeline.to_list(None)]
        cursor = self._collection(layout).find(
            queries.conditions(layout, query),
            sort=queries.order(layout),
            limit=query.limit,
            session=self._session,
        )
        return [layout.decode(document) for document in await cursor.to_list(query.limit)]

    async def scan(self, kind: type[E], after: tuple[Any, ...] | None, limit: int) -> list[E]:
        """The first records after a key."""
        layout, found = LAYOUTS[kind], []
        for condition in queries.beyond(layout, after):
            cursor = self._collection(layout).find(condition, sort=[(ID, 1)], limit=limit, session=self._session)
            found += [layout.decode(document) for document in await cursor.to_list(limit)]
        return sorted(found, key=attrgetter(*layout.declaration.key))[:limit]

    async def series(self, run_id: str, names: Collection[str], split: str) -> list[Series]:
        """The series of a run."""
        return await sampling.series(self._collection(LAYOUTS[Metric]), run_id, names, split, self._session)

    async def peaks(self, series: Series, width: int) -> list[Metric]:
        """The smallest and the largest of each stretch, with the first and the last."""
        return await sampling.peaks(self._collection(LAYOUTS[Metric]), series, width, self._session)

    async def tally(
        self, kind: type[Any], where: Values, by: Sequence[str] = (), through: str = ""
    ) -> dict[tuple[Any, ...], int]:
        """How many records equal `where`, for each combination of values."""
        layout = LAYOUTS[kind]
        condition = await self._refers(layout, where, through) if through else queries.equal(layout, where)
        if not by:
            return {(): await self._collection(layout).count_documents(condition, session=self._session)}
        groups = self._collection(layout).aggregate(queries.groups(layout, condition, by), session=self._session)
        counts: Counter[tuple[Any, ...]] = Counter()
        async for group in groups:  # what is missing and what is empty are one
            counts[queries.group_of(layout, group, by)] += group["count"]
        return dict(counts)

    async def _refers(self, layout: Layout, where: Values, through: str) -> Document:
        """The condition that a document refers to one of another kind that equals `where`."""
        to = LAYOUTS[declarations.referred(layout.declaration.kind, through).kind]
        found = await self._collection(to).find(queries.equal(to, where), [ID], session=self._session).to_list(None)
        ids = [document[ID] for document in found]
        return {layout.fields[through].path: {"$in": [*ids, *map(str, ids)]}}

    async def due_job(self, kinds: Collection[str], now: datetime) -> Job | None:
        """The oldest job that is due."""
        layout, oldest = LAYOUTS[Job], queries.oldest_first(LAYOUTS[Job])
        found = [
            await self._collection(layout).find_one(condition, sort=oldest, session=self._session)
            for condition in queries.due(layout, kinds, now)
        ]
        jobs: list[Job] = [layout.decode(document) for document in found if document]
        return min(jobs, key=lambda job: (job.create_time, job.id), default=None)


class MongoTransaction(MongoReader):
    """Reads and writes that become visible together, where the server has transactions.

    MongoDB has no references of its own, and lets two units that write different documents both succeed. Whoever
    refers to a record therefore holds on to it, by a document that whoever removes the record writes too: one of the
    two is done again, and finds what the other has done.
    """

    def __init__(self, database: Database, session: Session, claims: asyncio.Lock) -> None:
        super().__init__(database, session)
        self._claims = claims
        self._claiming = False
        self._touched: dict[str, set[tuple[str, str]]] = {}

    async def due_job(self, kinds: Collection[str], now: datetime) -> Job | None:
        """The oldest job that is due; written, so that who gets it too is done again.

        Those of this process wait for each other instead.
        """
        if not self._claiming:
            await self._claims.acquire()
            self._claiming = True
        job = await super().due_job(kinds, now)
        if job is not None:
            await self._jobs.update_one({ID: {"$in": LAYOUTS[Job].ids(job.id)}}, CLAIM, session=self._session)
        return job

    @property
    def _jobs(self) -> "AsyncIOMotorCollection[Document]":
        return self._collection(LAYOUTS[Job])

    async def insert(self, record: Record) -> None:
        """Add a record."""
        layout = LAYOUTS[type(record)]
        await self._hold(layout, record)
        with unique(layout):
            await self._collection(layout).insert_one(layout.encode(record), session=self._session)
        self._touch(layout, [record], fresh=True)

    async def update(self, record: R, etag: str) -> bool:
        """Write a record over the one of its id and etag."""
        layout = LAYOUTS[type(record)]
        kept = layout.declaration.kept
        values = {name: getattr(record, name) for name in layout.fields if name not in kept}
        with unique(layout):
            before = await self._collection(layout).find_one_and_update(
                {**queries.equal(layout, {"etag": etag}), ID: {"$in": layout.ids(record.id)}},
                layout.changes(values),
                projection=[layout.fields[name].path for name, _ in layout.declaration.references] or [ID],
                return_document=ReturnDocument.BEFORE,
                session=self._session,
            )
        if before is None:
            return False
        await self._hold(layout, record, layout.decode(before))
        self._touch(layout, [record])
        return True

    async def change(self, kind: type[Any], where: Values, values: Values) -> int:
        """Set attributes of all records that equal `where`."""
        layout = LAYOUTS[kind]
        return await self._change(layout, where, layout.changes(values))

    async def count(self, kind: type[Any], where: Values, name: str, by: int = 1, most: int | None = None) -> int:
        """Add to a counter of all records that equal `where`, within its bounds."""
        layout, path = LAYOUTS[kind], LAYOUTS[kind].fields[name].path
        if most is not None and by > most:
            return 0
        return await self._change(layout, where, {"$inc": {path: by}}, queries.within(path, by, most))

    async def _change(self, layout: Layout, where: Values, update: Document, also: Document | None = None) -> int:
        await self._touch_all(layout, where)
        condition = {"$and": [queries.equal(layout, where), also or {}]}
        with unique(layout):
            changed = await self._collection(layout).update_many(condition, update, session=self._session)
        return changed.matched_count

    async def remove(self, kind: type[Any], where: Values) -> int:
        """Remove all records that equal `where`."""
        layout, condition = LAYOUTS[kind], queries.equal(LAYOUTS[kind], where)
        await self._touch_all(layout, where)
        if layout.declaration.dependents:
            found = self._collection(layout).find(condition, [ID], session=self._session)
            await self._let_go(layout, [document[ID] for document in await found.to_list(None)])
        removed = await self._collection(layout).delete_many(condition, session=self._session)
        return removed.deleted_count

    async def put_metrics(self, metrics: Sequence[Metric]) -> None:
        """Write many metrics."""
        if metrics:
            layout = LAYOUTS[Metric]
            for metric in {metric.run_id: metric for metric in metrics}.values():
                await self._hold(layout, metric)
            await measuring.put(self._collection(layout), layout, metrics, self._session)

    async def load(self, kind: type[Any], records: Sequence[Any]) -> None:
        """Write many records as they are."""
        if kind is Metric:
            return await self.put_metrics(records)
        layout = LAYOUTS[kind]
        wanted = {pair: None for record in records for pair in _wanted(layout, record)}
        await self._hold_all(list(wanted))
        fresh = await bulk.load(self._collection(layout), layout, records, self._session)
        self._touch(layout, records, fresh)
        return None

    async def put_summaries(self, summaries: Sequence[MetricSummary]) -> None:
        """Write summaries, unless there is one of a higher rank."""
        layout = LAYOUTS[MetricSummary]
        await measuring.put_summaries(self._collection(layout), layout, summaries, self._session)

    async def put_texts(self, texts: Sequence[SearchText]) -> None:
        """Write the words of records."""
        layout = LAYOUTS[SearchText]
        documents = [layout.encode(text) for text in texts]
        writes = [ReplaceOne({ID: each[ID]}, each, upsert=True) for each in documents]
        await self._collection(layout).bulk_write(writes, ordered=False, session=self._session)

    async def _hold(self, layout: Layout, record: Any, before: Any = None) -> None:
        """Keep what a record refers to from being removed; BrokenReference when it is not there."""
        await self._hold_all(_wanted(layout, record, before))

    async def _hold_all(self, named: Sequence[tuple[str, str]]) -> None:
        wanted = [(layout_named(to), value) for to, value in named]
        if wanted and self._session:
            slot = random.randrange(SLOTS)  # noqa: S311 (no secret)
            holds = [
                UpdateOne({ID: _slot(to, value, slot)}, {"$inc": {"times": 1}}, upsert=True) for to, value in wanted
            ]
            await self._database[HELD].bulk_write(holds, session=self._session)
        for entity in dict(named):
            to, values = layout_named(entity), {value for name, value in named if name == entity}
            ids = [each for value in values for each in to.ids(value)]
            found = self._collection(to).find({ID: {"$in": ids}}, [ID], session=self._session)
            if not values <= {str(document[ID]) for document in await found.to_list(None)}:
                raise BrokenReference

    async def _let_go(self, layout: Layout, ids: Sequence[Any]) -> None:
        """Make sure that nobody refers to records about to be removed, nor will; BrokenReference when somebody does."""
        for dependent, name, _ in layout.declaration.dependents:
            refers = {LAYOUTS[dependent.kind].fields[name].path: {"$in": [*ids, *map(str, ids)]}}
            if await self._collection(LAYOUTS[dependent.kind]).find_one(refers, [ID], session=self._session):
                raise BrokenReference
        if ids and self._session:
            slots = [_slot(layout, str(each), number) for each in ids for number in range(SLOTS)]
            writes = [ReplaceOne({ID: slot}, {"times": 0}, upsert=True) for slot in slots]
            await self._database[HELD].bulk_write([*writes, *map(_without, slots)], session=self._session)

    async def _touch_all(self, layout: Layout, where: Values) -> None:
        if layout.declaration.name in SOURCES:
            found = self._collection(layout).find(queries.equal(layout, where), session=self._session)
            self._touch(layout, [layout.decode(document) for document in await found.to_list(None)])

    def _touch(self, layout: Layout, records: Iterable[Any], fresh: bool = False) -> None:
        """Note what shows these records. Nobody shows a fresh one before it refers to it, and is then noted itself."""
        name = layout.declaration.name
        for view in VIEWS if name in SOURCES else ():
            if name not in view.made_of:
                continue
            ours, theirs = view.made_of[name]
            if fresh and ours == "id" != theirs:
                continue
            values = {getattr(record, ours) for record in records if view.matters(record)}
            self._touched.setdefault(view.of, set()).update((theirs, value) for value in values if value)

    def end(self) -> None:
        """Let others have their turn, after the commit."""
        if self._claiming:
            self._claiming = False
            self._claims.release()

    async def show(self) -> None:
        """Bring what documents show of other records up to date. The last act of a unit of work."""
        for view in VIEWS:
            for attribute, value in self._touched.pop(view.of, ()):
                await self._show(view, {attribute: value})

    async def _show(self, view: View, where: Values) -> None:
        layout = layout_named(view.of)
        found = self._collection(layout).find(queries.equal(layout, where), session=self._session)
        for document in await found.to_list(None):
            record = layout.decode(document)
            update = view.update(await view.show(self, record))
            await self._collection(layout).update_one({ID: document[ID]}, update, session=self._session)
            self._touch(layout, [record])


CLAIM = {"$inc": {"claims": 1}}


def _wanted(layout: Layout, record: Any, before: Any = None) -> list[tuple[str, str]]:
    """What a record refers to, by entity and id, and did not refer to before."""
    return [
        (reference.to, value)
        for name, reference in layout.declaration.references
        if (value := getattr(record, name)) is not None and value != getattr(before, name, None)
    ]


def _slot(layout: Layout, record_id: str, number: int) -> str:
    return f"{layout.declaration.name}/{record_id}/{number}"


def _without(slot: str) -> DeleteOne:
    return DeleteOne({ID: slot})
