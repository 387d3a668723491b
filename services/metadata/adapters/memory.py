"""Keeps records in memory, for tests: the same rules as a database, and nothing left afterwards."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from services.metadata.domain import declarations
from services.metadata.domain.declarations import ENTITIES, Declaration
from services.metadata.domain.entities import Job, JobStatus, Metric, Record
from services.metadata.domain.ports import BrokenReference, Duplicate, Query, Transaction, Values

E = TypeVar("E")
R = TypeVar("R", bound=Record)
T = TypeVar("T")
Rows = dict[tuple[Any, ...], Any]
Tables = dict[str, Rows]


class MemoryReader:
    """Reads tables that are dictionaries, keyed by what their entity is keyed by."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, kind: type[R], record_id: str) -> R | None:
        """The record of this id."""
        return self._rows(kind).get((record_id,))

    async def find(self, kind: type[E], query: Query) -> list[E]:
        """The records that a query asks for, in order."""
        declaration = declarations.of(kind)
        found = [row for row in self._rows(kind).values() if _meets(row, query)]
        found.sort(key=lambda row: _position(declaration, row), reverse=declaration.newest_first)
        if query.after is not None:
            found = [row for row in found if _comes_after(declaration, row, query.after)]
        return found[: query.limit]

    async def due_job(self, kinds: Collection[str], now: datetime) -> Job | None:
        """The oldest job that is due."""
        due = (job for job in self._rows(Job).values() if job.kind in kinds and _is_due(job, now))
        return min(due, key=lambda job: (job.create_time, job.id), default=None)

    async def tally(
        self, kind: type[Any], where: Values, by: Sequence[str] = (), through: str = ""
    ) -> dict[tuple[Any, ...], int]:
        """How many records equal `where`, for each combination of values."""
        held = self._rows(declarations.referred(kind, through).kind) if through else {}
        rows = ((row, held.get((getattr(row, through),)) if through else row) for row in self._rows(kind).values())
        found = [row for row, meant in rows if meant is not None and _equals(meant, where)]
        if not by:
            return {(): len(found)}
        return dict(Counter(tuple(getattr(row, name) for name in by) for row in found))

    def _rows(self, kind: type[Any]) -> Rows:
        return self._tables[declarations.of(kind).name]


class MemoryTransaction(MemoryReader):
    """Changes tables that nobody else sees yet."""

    async def insert(self, record: Record) -> None:
        """Add a record."""
        declaration = declarations.of(type(record))
        self._check_unique(declaration, record, [declaration.key, *declaration.unique])
        self._check_references(declaration, record)
        self._rows(type(record))[(record.id,)] = record

    async def update(self, record: R, etag: str) -> bool:
        """Write a record over the one of its id and etag."""
        current = self._rows(type(record)).get((record.id,))
        if current is None or current.etag != etag:
            return False
        declaration = declarations.of(type(record))
        record = replace(record, **{name: getattr(current, name) for name in declaration.counters})
        self._check_unique(declaration, record, declaration.unique)
        self._check_references(declaration, record)
        self._rows(type(record))[(record.id,)] = record
        return True

    async def change(self, kind: type[Any], where: Values, values: Values) -> int:
        """Set attributes of all records that equal `where`."""
        rows = self._rows(kind)
        keys = [key for key, row in rows.items() if _equals(row, where)]
        for key in keys:
            rows[key] = replace(rows[key], **values)
        return len(keys)

    async def count(self, kind: type[Any], where: Values, name: str, by: int = 1, most: int | None = None) -> int:
        """Add to a counter of all records that equal `where`, within its bounds."""
        rows = self._rows(kind)
        sums = {key: getattr(row, name) + by for key, row in rows.items() if _equals(row, where)}
        within = {key: total for key, total in sums.items() if total >= 0 and (most is None or total <= most)}
        for key, total in within.items():
            rows[key] = replace(rows[key], **{name: total})
        return len(within)

    async def remove(self, kind: type[Any], where: Values) -> int:
        """Remove all records that equal `where`."""
        rows = self._rows(kind)
        keys = [key for key, row in rows.items() if _equals(row, where)]
        for key in keys:
            self._check_unreferred(declarations.of(kind), rows[key])
            del rows[key]
        return len(keys)

    async def put_metrics(self, metrics: Sequence[Metric]) -> None:
        """Write many metrics."""
        declaration = declarations.of(Metric)
        for metric in metrics:
            self._check_references(declaration, metric)
            self._rows(Metric)[tuple(getattr(metric, name) for name in declaration.key)] = metric

    def _check_unique(self, declaration: Declaration, record: Any, rules: Sequence[tuple[str, ...]]) -> None:
        for names in rules:
            value = [getattr(record, name) for name in names]
            others = self._tables[declaration.name].values()
            taken = any([getattr(other, name) for name in names] == value for other in others if other.id != record.id)
            if None not in value and (taken or (names == ("id",) and (record.id,) in self._tables[declaration.name])):
                raise Duplicate(names)

    def _check_references(self, declaration: Declaration, record: Any) -> None:
        for name, reference in declaration.references:
            wanted = getattr(record, name)
            if wanted is not None and (wanted,) not in self._tables[reference.to]:
                raise BrokenReference

    def _check_unreferred(self, declaration: Declaration, record: Any) -> None:
        for dependent, name, _ in declaration.dependents:
            if any(getattr(other, name) == record.id for other in self._tables[dependent.name].values()):
                raise BrokenReference


class MemoryStore(MemoryReader):
    """Records in memory. One unit of work at a time; what it did becomes visible when it has ended well."""

    def __init__(self) -> None:
        super().__init__({name: {} for name in ENTITIES})
        self._turn = asyncio.Lock()

    async def write(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do a unit of work on copies of the tables."""
        async with self._turn:
            copies = {name: dict(rows) for name, rows in self._tables.items()}
            outcome = await unit(MemoryTransaction(copies))
            self._tables = copies
        return outcome

    async def probe(self) -> None:
        """Memory is always there."""


def _meets(row: Any, query: Query) -> bool:
    return _equals(row, query.where) and all(
        _is_before(getattr(row, name), than) for name, than in query.before.items()
    )


def _is_before(moment: datetime | None, than: datetime) -> bool:
    return moment is not None and moment < than


def _equals(row: Any, values: Mapping[str, Any]) -> bool:
    return all(getattr(row, name) == value for name, value in values.items())


def _position(declaration: Declaration, row: Any) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in declaration.listed_by)


def _comes_after(declaration: Declaration, row: Any, position: tuple[Any, ...]) -> bool:
    here = _position(declaration, row)
    return here < position if declaration.newest_first else here > position


def _is_due(job: Job, now: datetime) -> bool:
    if job.status is JobStatus.QUEUED:
        return job.due_time is None or job.due_time <= now
    return job.status is JobStatus.RUNNING and job.lease_expire_time is not None and job.lease_expire_time < now
