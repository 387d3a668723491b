"""Keeps records in memory, for tests: the same rules as a database, and nothing left afterwards."""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from services.metadata.domain import declarations
from services.metadata.domain.declarations import ENTITIES, Declaration
from services.metadata.domain.entities import Job, Metric, MetricSummary, Record, SearchText
from services.metadata.domain.filters import holds
from services.metadata.domain.lifecycle import is_due
from services.metadata.domain.ports import BrokenReference, Duplicate, Ordering, Query, Series, Transaction, Values
from services.metadata.domain.sampling import LARGE, SCALE, mean_of
from services.metadata.domain.summaries import rank

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
        found = [row for row in self._rows(kind).values() if _meets(row, query) and self._is_true(row, query)]
        order = query.order or _usual(declaration)
        if order[0].metric:
            return self._by_metric(order[0], order[0].metric, found, query.after)[: query.limit]
        for each in reversed(order):
            found.sort(key=partial(_rank_of, each.name), reverse=each.descending)
        if query.after is not None:
            found = [row for row in found if _comes_after(order, row, query.after)]
        return found[: query.limit]

    async def scan(self, kind: type[E], after: tuple[Any, ...] | None, limit: int) -> list[E]:
        """The first records after a key."""
        rows = self._rows(kind)
        return [rows[key] for key in sorted(key for key in rows if after is None or key > after)[:limit]]

    def _is_true(self, row: Any, query: Query) -> bool:
        if query.where_true is None:
            return True
        return holds(query.where_true, row, self._words(row), partial(self._metric, row))

    def _words(self, row: Any) -> Sequence[str]:
        key = (declarations.of(type(row)).name, getattr(row, "id", ""))
        text = row if isinstance(row, SearchText) else self._rows(SearchText).get(key)
        return text.words.split() if text else ()

    def _metric(self, row: Any, name: str, split: str) -> float | None:
        summary = self._rows(MetricSummary).get((row.id, name, split))
        return summary.value if summary else None

    def _by_metric(
        self, order: Ordering, metric: tuple[str, str], rows: list[Any], after: tuple[Any, ...] | None
    ) -> list[Any]:
        """Runs by a metric, then those without it, newest first."""
        values = {row.id: value for row in rows if (value := self._metric(row, *metric)) is not None}
        measured = sorted((values[row.id], row.id, row) for row in rows if row.id in values)
        others = sorted((row.create_time, row.id, row) for row in rows if row.id not in values)
        measured, others = measured[:: -1 if order.descending else 1], others[::-1]
        if after is not None:
            value, *age = after
            others = [each for each in others if value is not None or [*each[:2]] < age]
            measured = [
                each for each in measured if value is not None and _is_beyond(each[:2], (value, age[-1]), order)
            ]
        return [row for _, _, row in (*measured, *others)]

    async def series(self, run_id: str, names: Collection[str], split: str) -> list[Series]:
        """The series of a run."""
        found: dict[tuple[str, str], list[Metric]] = {}
        for metric in sorted(self._rows(Metric).values(), key=lambda each: each.step):
            if metric.run_id == run_id and (not names or metric.name in names) and split in ("", metric.split):
                found.setdefault((metric.name, metric.split), []).append(metric)
        return [_series(metrics) for _, metrics in sorted(found.items())]

    async def peaks(self, series: Series, width: int) -> list[Metric]:
        """The smallest and the largest of each stretch, with the first and the last."""
        key = (series.run_id, series.name, series.split)
        all_of_them = [each for each in self._rows(Metric).values() if (each.run_id, each.name, each.split) == key]
        chosen = {each.step: each for each in all_of_them if each.step in (series.first_step, series.last_step)}
        stretches: dict[int, list[Metric]] = {}
        for each in all_of_them if width else ():
            stretches.setdefault((each.step - series.first_step - 1) // width, []).append(each)
        for members in stretches.values():
            least = min(members, key=lambda each: (each.value, each.step))
            largest = max(members, key=lambda each: (each.value, -each.step))
            chosen |= {least.step: least, largest.step: largest}
        return [chosen[step] for step in sorted(chosen)]

    async def due_job(self, kinds: Collection[str], now: datetime) -> Job | None:
        """The oldest job that is due."""
        due = (job for job in self._rows(Job).values() if job.kind in kinds and is_due(job, now))
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

    async def load(self, kind: type[E], records: Sequence[E]) -> None:
        """Write many records as they are."""
        declaration, rows = declarations.of(kind), self._rows(kind)
        for record in records:
            self._check_unique(declaration, record, declaration.unique)
            self._check_references(declaration, record)
            rows[tuple(getattr(record, name) for name in declaration.key)] = record

    async def put_summaries(self, summaries: Sequence[MetricSummary]) -> None:
        """Write summaries, unless there is one of a higher rank."""
        rows = self._rows(MetricSummary)
        for summary in summaries:
            key = (summary.run_id, summary.name, summary.split)
            if key not in rows or rank(rows[key]) <= rank(summary):
                rows[key] = summary

    async def put_texts(self, texts: Sequence[SearchText]) -> None:
        """Write the words of records."""
        self._rows(SearchText).update({(text.entity, text.record_id): text for text in texts})

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


def _usual(declaration: Declaration) -> list[Ordering]:
    return [Ordering(name, declaration.newest_first) for name in declaration.listed_by]


def _rank(value: Any) -> tuple[Any, ...]:
    """What is absent comes first."""
    return () if value is None else (value,)


def _is_beyond(here: tuple[Any, ...], there: tuple[Any, ...], ordering: Ordering) -> bool:
    return here < there if ordering.descending else here > there


def _rank_of(name: str, row: Any) -> tuple[Any, ...]:
    return _rank(getattr(row, name))


def _comes_after(order: Sequence[Ordering], row: Any, position: tuple[Any, ...]) -> bool:
    for each, there in zip(order, position, strict=True):
        here = _rank(getattr(row, each.name))
        if here != _rank(there):
            return _is_beyond(here, _rank(there), each)
    return False


def _series(metrics: list[Metric]) -> Series:
    values = [each.value for each in metrics]
    small = math.fsum(value for value in values if abs(value) <= LARGE)
    large = math.fsum(value / SCALE for value in values if LARGE < abs(value) < math.inf)
    mean = mean_of(min(values), max(values), len(values), small, large)
    first = metrics[0]
    steps = first.step, metrics[-1].step
    return Series(first.run_id, first.name, first.split, len(values), min(values), max(values), mean, *steps)
