"""MySQL and MariaDB, by asyncmy."""

import json
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

import asyncmy
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
from services.metadata.adapters.tables import FIELDS_OF, TABLES, as_finite, written
from services.metadata.domain.entities import Metric, MetricSummary, Record
from services.metadata.domain.ports import BrokenReference, Duplicate

R = TypeVar("R", bound=Record)

DRIVER = "mysql+asyncmy"
OPTIONS = {
    "ssl_mode": "mode",
    "sslmode": "mode",
    "ssl_ca": "root",
    "ssl": "mode",
    "charset": "charset",
    "unix_socket": "unix_socket",
    "host": "host",
}
MIGRATION_LOCK = "modelyard migration"
MIGRATION_SECONDS = 300

DUPLICATE = frozenset({1062, 1586})
BROKEN = frozenset({1216, 1217, 1451, 1452})
IN_THE_WAY = frozenset({1020, 1040, 1205, 1213})  # changed since read, connections, lock time-out, deadlock
GONE = frozenset({1053, 1290, 1836, 1927, 2002, 2003, 2006, 2013, 2055, 4031})  # stopping, read-only, cut off
REFUSED = frozenset({1044, 1045, 1049, 1142, 1698})  # user, password, database, rights
FULL = frozenset({1021, 1114})  # the disk, a table
_KEY_NAME = re.compile(r"for key '(?:\w+\.)?(\w+)'")
_TABLE_NAME = re.compile(r"for key '(\w+)\.PRIMARY'")

METRICS = TABLES[Metric]
NAMES = METRICS.columns.keys()
PUT_METRICS = (
    f"INSERT INTO metrics ({', '.join(f'`{name}`' for name in NAMES)}) "  # noqa: S608 (our own names)
    f"VALUES ({', '.join(['%s'] * len(NAMES))}) "
    "ON DUPLICATE KEY UPDATE `value` = VALUES(`value`), measure_time = VALUES(measure_time)"
)
HIGHER = "(VALUES(precedence), VALUES(step)) >= (precedence, step)"
# One column is set after the other, and sees what was set before; the comparison comes out the same each time.
PUT_SUMMARIES = (
    f"INSERT INTO metric_summaries ({', '.join(f'`{name}`' for name in upserting.NAMES)}) "  # noqa: S608 (our own names)
    f"VALUES ({', '.join(['%s'] * len(upserting.NAMES))}) ON DUPLICATE KEY UPDATE "
    + ", ".join(f"`{name}` = IF({HIGHER}, VALUES(`{name}`), `{name}`)" for name in ("value", "step", "precedence"))
)
_values = attrgetter(*NAMES[:-2])


class MySQLFlavour:
    """What MySQL and MariaDB do in their own way."""

    failures: tuple[type[Exception], ...] = (OSError, EOFError, asyncmy.errors.Error)

    def __init__(self, writers: int) -> None:
        self.writers = writers

    def violation(self, error: Exception) -> Duplicate | BrokenReference | None:
        """Read from the error's number and text: "Duplicate entry 'x' for key 'uq_projects_user_id_name'"."""
        number = _number(error)
        if number in DUPLICATE:
            found = _KEY_NAME.findall(str(getattr(error, "orig", error)))
            name = found[-1] if found else ""
            return Duplicate(("id",) if name == "PRIMARY" else FIELDS_OF.get(name, (name,)))
        return BrokenReference() if number in BROKEN else None

    def in_the_way(self, error: Exception) -> bool:
        """Transactions that lock each other out, and too many connections."""
        return _number(error) in IN_THE_WAY

    def is_gone(self, error: Exception) -> bool:
        """A connection that broke, a server that stops or only repeats what another one writes."""
        broken = isinstance(error, DBAPIError) and error.connection_invalidated
        return broken or isinstance(error, OSError | EOFError) or _number(error) in GONE

    def is_full(self, error: Exception) -> bool:
        """No space where the tables are, or in the one file that has them."""
        return _number(error) in FULL

    def refusal(self, error: Exception) -> str:
        """Why the server lets nobody in; empty when it is not about that."""
        number, *said = _said(error)
        return " ".join(map(str, said)) if number in REFUSED else ""

    async def put_metrics(self, connection: AsyncConnection, metrics: Sequence[Metric]) -> None:
        """The driver makes one statement with many rows of them."""
        rows = [(*_values(each), as_finite(each.value), written(each.measure_time)) for each in metrics]
        await connection.exec_driver_sql(PUT_METRICS, rows)

    async def put_summaries(self, connection: AsyncConnection, summaries: Sequence[MetricSummary]) -> None:
        """As metrics."""
        rows = [(*row[:-1], as_finite(row[-1])) for row in upserting.rows_of(summaries)]
        await connection.exec_driver_sql(PUT_SUMMARIES, rows)


def _said(error: Exception) -> tuple[Any, ...]:
    orig = error.orig if isinstance(error, DBAPIError) else error
    return tuple(getattr(orig, "args", ())) or (0,)


def _number(error: Exception) -> int:
    number = _said(error)[0]
    return number if isinstance(number, int) else 0


def server_of(url: str) -> Server:
    """The server that an address names, as people write it: mariadb://user:password@host/database?ssl_mode=REQUIRED."""
    address, told = parse(url, DRIVER, OPTIONS)
    mode, root = told.pop("mode", "").upper().replace("-", "_"), told.pop("root", "")
    if place := told.pop("host", ""):  # as the proxies of clouds have it, a socket may stand in place of a host
        told["unix_socket" if place.startswith("/") else "host"] = place
    told["charset"] = "utf8mb4"
    waits = f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}, time_zone = '+00:00', sql_mode = 'TRADITIONAL'"
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "init_command": waits, **told}
    if root or mode not in ("", "DISABLED", "DISABLE", "PREFERRED", "PREFER", "FALSE"):
        arguments["ssl"] = _tls(mode, root)
    return Server(address, arguments)


def _tls(mode: str, root: str) -> ssl.SSLContext:
    """What the driver takes for a mode of MySQL's."""
    context = ssl.create_default_context(cafile=root or None)
    context.check_hostname = mode in ("VERIFY_IDENTITY", "VERIFY_FULL")
    if not mode.startswith("VERIFY_") and not root:
        context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def mysql_store(url: str, pool: Pool) -> AsyncIterator[SqlStore]:
    """A store in a MySQL or MariaDB database, its tables brought up to date before."""
    server = server_of(url)
    # MariaDB does not see two escapes that make one character as that character.
    engine = engine_of(server, pool, json_serializer=partial(json.dumps, ensure_ascii=False))
    async with pooled_store(server, engine, engine, MySQLFlavour(pool.size), prepare) as store:
        yield store


def prepare(connection: sa.Connection) -> None:
    """Bring the tables up to date. Several processes may do so at once: one does, the others wait."""
    if schema.is_newest(connection):
        return
    connection.rollback()
    told = {"name": f"{MIGRATION_LOCK} {connection.engine.url.database}"[:64], "seconds": MIGRATION_SECONDS}
    if connection.scalar(sa.text("SELECT GET_LOCK(:name, :seconds)"), told) != 1:
        raise schema.MigrationFailed("another process has been migrating the database for too long")
    try:
        schema.upgrade(connection)
        connection.commit()
    finally:
        connection.scalar(sa.text("SELECT RELEASE_LOCK(:name)"), told)
