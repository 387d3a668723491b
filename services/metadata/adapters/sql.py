"""Keeps records in a SQL database. What databases do each in their own way is asked of a `Flavour`."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from servicekit.logging import get_logger
from services.metadata.adapters import carrying, ranking, sampling, selecting, upserting
from services.metadata.adapters.gathering import GatheredRecords
from services.metadata.adapters.tables import TABLES
from services.metadata.domain import declarations
from services.metadata.domain.entities import Job, Metric, MetricSummary, Record, SearchText
from services.metadata.domain.ports import (
    BrokenReference,
    Duplicate,
    Query,
    RightMissing,
    Series,
    StoreBusy,
    StoreFull,
    StoreUnreachable,
    Transaction,
    Values,
)

E = TypeVar("E")
R = TypeVar("R", bound=Record)
T = TypeVar("T")

log = get_logger()

PATIENCE_SECONDS = 30.0
"""How long it is tried again when other processes are in the way."""
LONGEST_PAUSE_SECONDS = 0.02
SECOND_THOUGHTS = 3
"""How often a unit that read, and then broke a rule, is done again to see whether it had read what was outdated."""


class Overtaken(Exception):
    """Another unit changed what this one had read."""


class Flavour(Protocol):
    """What one kind of database does in its own way."""

    writers: int
    """How many transactions may write at the same time."""
    failures: tuple[type[Exception], ...]
    """What the driver raises where SQLAlchemy does not stand between."""

    def violation(self, error: Exception, /) -> Duplicate | BrokenReference | None:
        """Which rule of the schema an error is about; None when it is none of ours."""

    def in_the_way(self, error: Exception) -> bool:
        """Whether the error only says that another transaction was in the way."""

    def is_gone(self, error: Exception, /) -> bool:
        """Whether the error says that the database cannot be reached, or is about to be gone."""

    def is_full(self, error: Exception, /) -> bool:
        """Whether the error says that no space is left."""

    def refusal(self, error: Exception, /) -> str:
        """Why the database lets nobody in, as it says; empty when the error is not about that."""

    async def put_metrics(self, connection: AsyncConnection, metrics: Sequence[Metric]) -> None:
        """Write many metrics at once, each over the one of its key."""

    async def put_summaries(self, connection: AsyncConnection, summaries: Sequence[MetricSummary]) -> None:
        """Write summaries, each over the one of its key unless that has a higher rank."""


class SqlReader:
    """Reads on one connection."""

    def __init__(self, connection: AsyncConnection, flavour: Flavour) -> None:
        self._connection = connection
        self._flavour = flavour

    async def get(self, kind: type[R], record_id: str) -> R | None:
        """The record of this id."""
        return (await self.get_all(kind, [record_id])).get(record_id)

    async def get_all(self, kind: type[R], record_ids: Collection[str]) -> dict[str, R]:
        """The records that there are of these ids."""
        found = await self._found(kind, _SELECT_ALL[kind], {"ids": list(record_ids)})
        return {record.id: record for record in found}

    async def find(self, kind: type[E], query: Query) -> list[E]:
        """The records that a query asks for, in order."""
        if query.order and query.order[0].metric:
            found: list[E] = await ranking.runs_by_metric(self._connection, query, self.dialect)
            return found
        return await self._found(kind, selecting.select(kind, query, self.dialect))

    @property
    def dialect(self) -> str:
        """Which database it is: "sqlite", "postgresql", "mysql" or "mariadb"."""
        dialect = self._connection.dialect
        return "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name

    async def series(self, run_id: str, names: Collection[str], split: str) -> list[Series]:
        """The series of a run."""
        return await sampling.series(self._connection, run_id, names, split)

    async def peaks(self, series: Series, width: int) -> list[Metric]:
        """The smallest and the largest of each stretch, with the first and the last."""
        return await sampling.peaks(self._connection, series, width)

    async def scan(self, kind: type[E], after: tuple[Any, ...] | None, limit: int) -> list[E]:
        """The first records after a key."""
        found: list[E] = []
        for statement in carrying.beyond(kind, after):
            found += await self._found(kind, statement.limit(limit - len(found)))
            if len(found) == limit:
                break
        return found

    async def _found(self, kind: type[E], statement: sa.Select[Any], values: Values | None = None) -> list[E]:
        result = await self._connection.execute(statement, values)
        return [kind(*row) for row in result]

    async def tally(
        self, kind: type[Any], where: Values, by: Sequence[str] = (), through: str = ""
    ) -> dict[tuple[Any, ...], int]:
        """How many records equal `where`, for each combination of values."""
        result = await self._connection.execute(selecting.tally(kind, where, by, through))
        return {tuple(row[:-1]): row[-1] for row in result}

    async def due_job(self, kinds: Collection[str], now: Any) -> Job | None:
        """The oldest job that is due."""
        return await self._oldest(selecting.SELECT_DUE, kinds, now)

    async def _oldest(self, statements: Sequence[sa.Select[Any]], kinds: Collection[str], now: Any) -> Job | None:
        told = {"kinds": list(kinds), "now": now}
        rows = [(await self._connection.execute(statement, told)).first() for statement in statements]
        due = [Job(*row) for row in rows if row]
        return min(due, key=lambda job: (job.create_time, job.id), default=None)


class SqlTransaction(SqlReader):
    """Reads and writes on one connection, and knows when what it read is no longer so.

    Records are not locked when they are read: an update says which state it goes out from, and whoever comes too late
    is done again from the beginning. From then on it locks what it reads, so that it waits for its turn.
    """

    def __init__(self, connection: AsyncConnection, flavour: Flavour, locking: bool = False) -> None:
        super().__init__(connection, flavour)
        self._locking = locking
        self._etags: dict[str, str] = {}
        self.has_read = False

    async def get(self, kind: type[R], record_id: str) -> R | None:
        """The record of this id."""
        if self._locking:
            await self._connection.execute(_LOCK[kind], {"the_id": record_id})
        record = await super().get(kind, record_id)
        self._remember([record] if record else [])
        return record

    async def find(self, kind: type[E], query: Query) -> list[E]:
        """The records that a query asks for, in order."""
        if query.order and query.order[0].metric:
            return await super().find(kind, query)
        statement = selecting.select(kind, query, self.dialect)
        found = await self._found(kind, statement.with_for_update() if self._locking else statement)
        self._remember(found)
        return found

    def _remember(self, read: Sequence[Any]) -> None:
        self.has_read = True
        self._etags |= {record.id: record.etag for record in read if isinstance(record, Record)}

    async def due_job(self, kinds: Collection[str], now: Any) -> Job | None:
        """The oldest job that is due, kept from others until the transaction ends."""
        return await self._oldest(selecting.LOCK_DUE, kinds, now)

    async def insert(self, record: Record) -> None:
        """Add a record."""
        await self._changing(_INSERT[type(record)], _values(record))

    async def update(self, record: R, etag: str) -> bool:
        """Write a record over the one of its id and etag."""
        kept = declarations.of(type(record)).kept
        values = {name: value for name, value in _values(record).items() if name not in kept}
        found = await self._changing(_UPDATE[type(record)], {**values, "the_id": record.id, "the_etag": etag}) > 0
        if not found and self._etags.get(record.id) == etag:
            raise Overtaken
        self._etags[record.id] = record.etag
        return found

    async def change(self, kind: type[Any], where: Values, values: Values) -> int:
        """Set attributes of all records that equal `where`."""
        self._etags.clear()  # they may be among what is set
        table = TABLES[kind]
        return await self._changing(table.update().where(*selecting.equal(table, where)).values(dict(values)))

    async def count(self, kind: type[Any], where: Values, name: str, by: int = 1, most: int | None = None) -> int:
        """Add to a counter of all records that equal `where`, within its bounds."""
        table = TABLES[kind]
        total = table.c[name] + by
        bounds = [total >= 0] if by < 0 else []
        bounds += [] if most is None else [total <= most]
        return await self._changing(table.update().where(*selecting.equal(table, where), *bounds).values({name: total}))

    async def remove(self, kind: type[Any], where: Values) -> int:
        """Remove all records that equal `where`."""
        table = TABLES[kind]
        return await self._changing(table.delete().where(*selecting.equal(table, where)))

    async def put_metrics(self, metrics: Sequence[Metric]) -> None:
        """Write many metrics."""
        if metrics:
            try:
                await self._flavour.put_metrics(self._connection, metrics)
            except IntegrityError as error:
                raise self._flavour.violation(error) or error from error

    async def load(self, kind: type[Any], records: Sequence[Any]) -> None:
        """Write many records as they are: those that are there already one over the other, all others in bulk."""
        if kind is Metric:
            return await self.put_metrics(records)
        return await carrying.load(self._connection, self._changing, kind, records)

    async def put_summaries(self, summaries: Sequence[MetricSummary]) -> None:
        """Write summaries, unless there is one of a higher rank."""
        await self._flavour.put_summaries(self._connection, summaries)

    async def put_texts(self, texts: Sequence[SearchText]) -> None:
        """Write the words of records."""
        await self._connection.execute(upserting.put_text(self.dialect), [asdict(text) for text in texts])

    async def _changing(
        self, statement: sa.Executable, values: dict[str, Any] | list[dict[str, Any]] | None = None
    ) -> int:
        try:
            result = await self._connection.execute(statement, values)
        except IntegrityError as error:
            raise self._flavour.violation(error) or error from error
        return result.rowcount


class SqlStore:
    """Records in a SQL database: writes on their own connections, one after another where the database wants that."""

    def __init__(self, readers: AsyncEngine, writers: AsyncEngine, flavour: Flavour) -> None:
        self._readers = readers
        self._writers = writers
        self._flavour = flavour
        self._turn = asyncio.Semaphore(flavour.writers)
        self._running: set[asyncio.Task[Any]] = set()
        self._gathered = GatheredRecords(self._get_all)

    async def get(self, kind: type[R], record_id: str) -> R | None:
        """The record of this id. Those asked for at the same time are read together."""
        return await self._gathered.get(kind, record_id)

    async def _get_all(self, kind: type[R], record_ids: Collection[str]) -> dict[str, R]:
        return await self._read(lambda reader: reader.get_all(kind, record_ids))

    async def find(self, kind: type[E], query: Query) -> list[E]:
        """The records that a query asks for, in order."""
        return await self._finish(self._read(lambda reader: reader.find(kind, query)))

    async def tally(
        self, kind: type[Any], where: Values, by: Sequence[str] = (), through: str = ""
    ) -> dict[tuple[Any, ...], int]:
        """How many records equal `where`, for each combination of values."""
        return await self._finish(self._read(lambda reader: reader.tally(kind, where, by, through)))

    async def scan(self, kind: type[E], after: tuple[Any, ...] | None, limit: int) -> list[E]:
        """The first records after a key."""
        return await self._finish(self._read(lambda reader: reader.scan(kind, after, limit)))

    async def series(self, run_id: str, names: Collection[str], split: str) -> list[Series]:
        """The series of a run."""
        return await self._finish(self._read(lambda reader: reader.series(run_id, names, split)))

    async def peaks(self, series: Series, width: int) -> list[Metric]:
        """The smallest and the largest of each stretch, with the first and the last."""
        return await self._finish(self._read(lambda reader: reader.peaks(series, width)))

    async def due_job(self, kinds: Collection[str], now: Any) -> Job | None:
        """The oldest job that is due."""
        return await self._finish(self._read(lambda reader: reader.due_job(kinds, now)))

    async def write(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do a unit of work in one transaction."""
        await self._turn.acquire()
        return await self._finish(self._write(unit))

    async def probe(self) -> None:
        """Read the schema's version."""

        async def read(reader: SqlReader) -> None:
            await reader._connection.execute(_PROBE)

        await self._finish(self._read(read))

    async def close(self) -> None:
        """Let what runs come to its end, then close all connections."""
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._readers.dispose()
        await self._writers.dispose()

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry work to its end, also when its caller gives up: a statement that runs cannot be taken back."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _read(self, read: Callable[[SqlReader], Awaitable[T]]) -> T:
        async def attempt() -> T:
            async with self._readers.connect() as connection:
                return await read(SqlReader(connection, self._flavour))

        return await self._patiently(attempt)

    async def _write(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        numbers = itertools.count()

        async def attempt() -> T:
            number = next(numbers)
            async with self._writers.begin() as connection:
                transaction = SqlTransaction(connection, self._flavour, locking=number > 0)
                try:
                    return await unit(transaction)
                except (Duplicate, BrokenReference) as error:
                    if transaction.has_read and self._flavour.writers > 1 and number < SECOND_THOUGHTS:
                        raise Overtaken from error
                    raise

        try:
            return await self._patiently(attempt)
        finally:
            self._turn.release()

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        clock = asyncio.get_running_loop().time
        give_up = clock() + PATIENCE_SECONDS
        known: tuple[type[Exception], ...] = (Overtaken, PoolTimeout, DBAPIError, *self._flavour.failures)
        while True:
            try:
                return await attempt()
            except known as error:
                self._check_passing(error)
                if clock() > give_up:
                    raise StoreBusy from error
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))  # noqa: S311 (no secret)

    def _check_passing(self, error: Exception) -> None:
        """Raise what cannot be helped by trying again at once."""
        if isinstance(error, PoolTimeout):
            log.warning("all connections are in use", pool=self._readers.pool.status(), waited_seconds=PATIENCE_SECONDS)
        if isinstance(error, Overtaken | PoolTimeout) or self._flavour.in_the_way(error):
            return
        if self._flavour.is_gone(error):
            raise StoreUnreachable from error
        if self._flavour.is_full(error):
            raise StoreFull from error
        if self._flavour.refusal(error):
            raise RightMissing from error
        raise error


_PROBE = sa.text("SELECT version_num FROM alembic_version")


def _update(kind: type[Any], table: sa.Table) -> sa.Update:
    matches = (table.c.id == sa.bindparam("the_id"), table.c.etag == sa.bindparam("the_etag"))
    kept = declarations.of(kind).kept
    values: dict[str, Any] = {column.name: sa.bindparam(column.name) for column in table.c if column.name not in kept}
    return table.update().where(*matches).values(values)


# Made once, because most calls are one of these.
_KNOWN_BY_ID = {kind: table for kind, table in TABLES.items() if "id" in table.c}
_INSERT = {kind: table.insert() for kind, table in _KNOWN_BY_ID.items()}
_UPDATE = {kind: _update(kind, table) for kind, table in _KNOWN_BY_ID.items()}
_LOCK = {
    kind: sa.select(table.c.id).where(table.c.id == sa.bindparam("the_id")).with_for_update()
    for kind, table in _KNOWN_BY_ID.items()
}
_SELECT_ALL = {
    kind: table.select().where(table.c.id.in_(sa.bindparam("ids", expanding=True)))
    for kind, table in _KNOWN_BY_ID.items()
}


def _values(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in declarations.of(type(record)).attributes}
