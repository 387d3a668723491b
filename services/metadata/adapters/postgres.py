"""PostgreSQL, by asyncpg."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any, TypeVar, cast

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.metadata.adapters import schema, upserting
from services.metadata.adapters.pooled import (
    CONNECT_SECONDS,
    LOCK_SECONDS,
    Pool,
    Server,
    engine_of,
    parse,
    pooled_store,
)
from services.metadata.adapters.sql import SqlStore
from services.metadata.adapters.tables import FIELDS_OF, TABLES
from services.metadata.domain.entities import Metric, MetricSummary, Record
from services.metadata.domain.ports import BrokenReference, Duplicate

R = TypeVar("R", bound=Record)

DRIVER = "postgresql+asyncpg"
OPTIONS = {
    "sslmode": "mode",
    "ssl": "mode",
    "sslrootcert": "root",
    "application_name": "application_name",
    "host": "host",
}
MIGRATION_LOCK = 7_223_604_110_982_345
"""Ours alone among the numbers that programs lock by in one database."""

UNIQUE_VIOLATION, FOREIGN_KEY_VIOLATION = "23505", "23503"
IN_THE_WAY = frozenset({"40001", "40P01", "55P03", "53300"})  # serialization, deadlock, lock time-out, connections
GONE = frozenset({"57P01", "57P02", "57P03", "25006"})  # stopping, crashed, starting, a stand-by server
REFUSED = frozenset({"28000", "28P01", "3D000", "42501"})  # user, password, database, rights
CONNECTION_CLASS = "08"
DISK_FULL = "53100"

WORTH_COPYING = 100
"""Rows from which a copy is quicker than a statement, though it takes one more round trip."""
METRICS = TABLES[Metric]
NAMES = METRICS.columns.keys()
KEY = tuple(column.name for column in METRICS.primary_key)
ARRAYS = ("varchar[]", "varchar[]", "varchar[]", "bigint[]", "float8[]", "timestamptz[]")
PUT_METRICS = (
    f"INSERT INTO metrics ({', '.join(NAMES)}) "  # noqa: S608 (our own names)
    f"SELECT * FROM unnest({', '.join(f'${number}::{kind}' for number, kind in enumerate(ARRAYS, 1))}) "
    f"ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET value = excluded.value, measure_time = excluded.measure_time"
)
SUMMARY_ARRAYS = ("varchar[]", "varchar[]", "varchar[]", "bigint[]", "bigint[]", "float8[]")
PUT_SUMMARIES = (
    f"INSERT INTO metric_summaries ({', '.join(upserting.NAMES)}) "  # noqa: S608 (our own names)
    f"SELECT * FROM unnest({', '.join(f'${number}::{kind}' for number, kind in enumerate(SUMMARY_ARRAYS, 1))}) "
    f"{upserting.KEEP_HIGHER}"
)
_key = attrgetter(*KEY)
_values = attrgetter(*NAMES)


class PostgresFlavour:
    """What PostgreSQL does in its own way."""

    failures: tuple[type[Exception], ...] = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

    def __init__(self, writers: int) -> None:
        self.writers = writers

    def violation(self, error: Exception) -> Duplicate | BrokenReference | None:
        """The constraint's name tells the fields."""
        state = _state(error)
        if state == UNIQUE_VIOLATION:
            name = getattr(_cause(error), "constraint_name", "")
            return Duplicate(FIELDS_OF.get(name, (name,)))
        return BrokenReference() if state == FOREIGN_KEY_VIOLATION else None

    def in_the_way(self, error: Exception) -> bool:
        """Transactions that lock each other out, and too many connections."""
        return _state(error) in IN_THE_WAY

    def is_gone(self, error: Exception) -> bool:
        """A connection that broke, a server that stops, starts or only repeats what another one writes."""
        state = _state(error)
        broken = isinstance(error, DBAPIError) and error.connection_invalidated
        unused = isinstance(error, OSError | asyncpg.InterfaceError)
        return broken or unused or state in GONE or state.startswith(CONNECTION_CLASS)

    def is_full(self, error: Exception) -> bool:
        """No space where the tables are, or where changes are logged."""
        return _state(error) == DISK_FULL

    def refusal(self, error: Exception) -> str:
        """Why the server lets nobody in; empty when it is not about that."""
        return str(_cause(error)) if _state(error) in REFUSED else ""

    async def put_metrics(self, connection: AsyncConnection, metrics: Sequence[Metric]) -> None:
        """Copied where there are many and all of them are new; else one statement with an array a column."""
        newest = {_key(metric): metric for metric in metrics}  # a statement may see each key only once
        rows = list(map(_values, newest.values()))
        if len(rows) < WORTH_COPYING or not await _copied(connection, rows):
            await connection.exec_driver_sql(PUT_METRICS, tuple(map(list, zip(*rows, strict=True))))

    async def put_summaries(self, connection: AsyncConnection, summaries: Sequence[MetricSummary]) -> None:
        """One statement with an array a column."""
        rows = upserting.rows_of(summaries)
        await connection.exec_driver_sql(PUT_SUMMARIES, tuple(map(list, zip(*rows, strict=True))))


async def _copied(connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> bool:
    """Copy rows into the table of metrics, in the connection's transaction; False when some are there already."""
    await connection.exec_driver_sql("SAVEPOINT copying")
    driver = (await connection.get_raw_connection()).driver_connection
    try:
        await cast(asyncpg.Connection, driver).copy_records_to_table(METRICS.name, records=rows, columns=NAMES)
    except asyncpg.UniqueViolationError:
        await connection.exec_driver_sql("ROLLBACK TO SAVEPOINT copying")
        return False
    except asyncpg.ForeignKeyViolationError as error:
        raise BrokenReference from error
    return True


def _cause(error: Exception) -> BaseException:
    """The driver's own error."""
    orig = error.orig if isinstance(error, DBAPIError) else error
    return (orig.__cause__ if orig is not None else None) or orig or error


def _state(error: Exception) -> str:
    return getattr(_cause(error), "sqlstate", None) or ""


def server_of(url: str) -> Server:
    """The server that an address names, as people write it: postgres://user:password@host/database?sslmode=require."""
    address, told = parse(url, DRIVER, OPTIONS)
    mode, root = told.pop("mode", ""), told.pop("root", "")
    settings = {"application_name": told.pop("application_name", "modelyard"), "lock_timeout": f"{LOCK_SECONDS}s"}
    arguments: dict[str, Any] = {"timeout": CONNECT_SECONDS, "server_settings": settings, **told}
    if mode:
        arguments["ssl"] = _tls(mode, root)
    return Server(address, arguments)


def _tls(mode: str, root: str) -> str | ssl.SSLContext:
    """What asyncpg takes for a mode of libpq's."""
    if not mode.startswith("verify-"):
        return mode
    context = ssl.create_default_context(cafile=root or None)
    context.check_hostname = mode == "verify-full"
    return context


@asynccontextmanager
async def postgres_store(url: str, pool: Pool) -> AsyncIterator[SqlStore]:
    """A store in a PostgreSQL database, its tables brought up to date before."""
    server = server_of(url)
    engine = engine_of(server, pool)
    readers = engine.execution_options(isolation_level="AUTOCOMMIT")  # a read is one statement
    flavour = PostgresFlavour(pool.size)
    async with pooled_store(server, engine, readers, flavour, prepare) as store:
        yield store


def prepare(connection: sa.Connection) -> None:
    """Bring the tables up to date. Several processes may do so at once: one does, the others wait."""
    if schema.is_newest(connection):
        return
    connection.rollback()  # what was read is of the time before the lock
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")  # also for those that wait while one does
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
    schema.upgrade(connection)
    connection.commit()
