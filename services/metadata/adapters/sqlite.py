"""SQLite: one file, many readers, one writer at a time, also when several processes share the file.

- WAL: readers never wait for the writer, nor the writer for them.
- One writer a process, which does what waits at the same time in one transaction (`sqlite_direct`).
- BEGIN IMMEDIATE: a transaction waits for its turn before its first read, so that it never has to be broken off.
- synchronous=FULL: what was acknowledged survives a power cut as well as the end of the process. One fsync a
  transaction is the price.
- Foreign keys are enforced on every connection.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, pool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from typing_extensions import override

from servicekit.logging import get_logger
from services.metadata.adapters import schema, upserting
from services.metadata.adapters.sql import SqlStore
from services.metadata.adapters.sqlite_direct import Reader, Writer
from services.metadata.adapters.tables import TABLES, written
from services.metadata.domain.entities import Metric, MetricSummary, Record
from services.metadata.domain.ports import BrokenReference, Duplicate, Transaction

R = TypeVar("R", bound=Record)
T = TypeVar("T")
log = get_logger()

READERS = 4
BUSY_MILLISECONDS = 250
"""How long SQLite itself waits for its turn; then it is asked again, so that the wait can be given up."""
START_SECONDS = 60.0
BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
UNIQUE_CODES = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
# The disk does not do what it should, and the file or what goes with it cannot be opened.
GONE_CODES = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
REFERENCE_CODES = frozenset({sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, sqlite3.SQLITE_CONSTRAINT_TRIGGER})

METRICS = TABLES[Metric]
NAMES = METRICS.columns.keys()
KEY = [column.name for column in METRICS.primary_key]
PUT_METRIC = (
    f"INSERT INTO metrics ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))}) "  # noqa: S608 (our own names)
    f"ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET value = excluded.value, measure_time = excluded.measure_time"
)
PUT_SUMMARY = (
    f"INSERT INTO metric_summaries ({', '.join(upserting.NAMES)}) "  # noqa: S608 (our own names)
    f"VALUES ({', '.join('?' * len(upserting.NAMES))}) {upserting.KEEP_HIGHER}"
)
_values = attrgetter(*NAMES[:-1])


class SqliteFlavour:
    """What SQLite does in its own way."""

    writers = 1
    failures: tuple[type[Exception], ...] = (sqlite3.OperationalError,)

    def violation(self, error: Exception) -> Duplicate | BrokenReference | None:
        """Read from the error's code and text: "UNIQUE constraint failed: projects.user_id, projects.name"."""
        cause = getattr(error, "orig", error)
        code = getattr(cause, "sqlite_errorcode", None)
        if code in UNIQUE_CODES:
            columns = str(cause).partition(": ")[2].split(", ")
            return Duplicate([column.partition(".")[2] for column in columns])
        return BrokenReference() if code in REFERENCE_CODES else None

    def in_the_way(self, error: Exception) -> bool:
        """Another process writes."""
        return _happened(error) in BUSY_CODES

    def is_gone(self, error: Exception) -> bool:
        """A disk that fails."""
        return _happened(error) in GONE_CODES

    def is_full(self, error: Exception) -> bool:
        """No space on the disk, or in the file for more pages than it may have."""
        return _happened(error) == sqlite3.SQLITE_FULL

    def refusal(self, error: Exception) -> str:
        """A file asks nobody who they are, but may be for reading only."""
        return str(error) if _happened(error) == sqlite3.SQLITE_READONLY else ""

    async def put_metrics(self, connection: AsyncConnection, metrics: Sequence[Metric]) -> None:
        """One prepared statement for all; SQLAlchemy's own many-row upsert takes ten times as long."""
        rows = [(*_values(metric), written(metric.measure_time)) for metric in metrics]
        await connection.exec_driver_sql(PUT_METRIC, rows)

    async def put_summaries(self, connection: AsyncConnection, summaries: Sequence[MetricSummary]) -> None:
        """As metrics."""
        await connection.exec_driver_sql(PUT_SUMMARY, upserting.rows_of(summaries))


def _happened(error: Exception) -> int:
    """The low byte of the code, whatever the circumstances that the rest tells."""
    return int(getattr(getattr(error, "orig", error), "sqlite_errorcode", 0)) & 0xFF


class SqliteStore(SqlStore):
    """Records in a file: written by one writer, read beside it."""

    def __init__(self, url: sa.URL) -> None:
        flavour, readers = SqliteFlavour(), _readers(url)
        super().__init__(readers, readers, flavour)
        self._reader = Reader(_direct(url), "sqlite-reader")
        self._writer = Writer(_direct(url), flavour)

    @override
    async def _get_all(self, kind: type[R], record_ids: Collection[str]) -> dict[str, R]:
        return await self._patiently(lambda: self._reader.get_all(kind, record_ids))

    @override
    async def write(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do a unit of work in a transaction that it may share with others."""
        known: tuple[type[Exception], ...] = (DBAPIError, *self._flavour.failures)
        try:
            return await self._writer.write(unit)
        except known as error:
            self._check_passing(error)
            raise

    @override
    async def close(self) -> None:
        """Let what runs come to its end, then close all connections."""
        await self._writer.close()
        await self._reader.close()
        await super().close()


@asynccontextmanager
async def sqlite_store(url: str) -> AsyncIterator[SqlStore]:
    """A store in the file that a URL names, made and brought up to date before."""
    version = await asyncio.to_thread(prepare, url)
    driven = sa.make_url(url).set(drivername="sqlite+aiosqlite")
    store = SqliteStore(driven)
    log.info("store opened", store=f"sqlite {sqlite3.sqlite_version}", url=url, schema=version)
    try:
        yield store
    finally:
        await store.close()


def _readers(url: sa.URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=READERS,
        max_overflow=0,
        hide_parameters=True,  # what users record is no news for a log
        pool_reset_on_return=None,  # a read is one statement, so there is nothing to reset
    )
    event.listen(engine.sync_engine, "connect", _set_up)
    return engine


def _direct(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url.set(drivername="sqlite"), poolclass=pool.StaticPool)
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _set_up(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def prepare(url: str) -> str | None:
    """Make the file, bring its tables up to date and return the revision.

    Several processes may do so at once: one does, the others wait.
    """
    plain = sa.make_url(url).set(drivername="sqlite")
    Path(plain.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(plain, poolclass=pool.NullPool)
    event.listen(engine, "connect", _set_up_for_migration)
    event.listen(engine, "begin", _begin_immediate)
    with engine.begin() as connection:
        schema.upgrade(connection)
        _check_references(connection)
        return schema.version(connection)


def _set_up_for_migration(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={int(START_SECONDS * 1000)}")
    # Off, because a migration that makes a table anew drops the old one; references are checked before it ends.
    connection.execute("PRAGMA foreign_keys=OFF")
    _take_wal(connection)


def _take_wal(connection: sqlite3.Connection) -> None:
    """The file remembers its journal mode. Changing it does not wait for others by itself."""
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in BUSY_CODES or time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return


def _check_references(connection: sa.Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        raise schema.MigrationFailed(
            f"{len(broken)} references lead nowhere after the migration, the first: {broken[0]}"
        )
