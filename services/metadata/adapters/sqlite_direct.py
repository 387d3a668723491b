"""The shortest ways to SQLite: for all writes, and for records that are asked for by their ids.

Each is a thread with a connection of its own. SQLite has one writer at a time whatever is done, and a round trip to
another thread costs more than most statements. So a unit of work is done where the connection is, from its first
statement to its last, and those that came meanwhile share the next transaction and its commit. One that fails before
it has changed anything just has failed; when one fails later, the transaction is taken back and each of the others is
done again alone. That is rare, and spares all of them the savepoints, which cost as much as the rest.
"""

import asyncio
import logging
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from queue import SimpleQueue
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import override

from services.metadata.adapters import sql
from services.metadata.adapters.sql import Flavour, SqlTransaction
from services.metadata.adapters.tables import TABLES
from services.metadata.adapters.upserting import put_text
from services.metadata.domain import declarations
from services.metadata.domain.entities import Record, SearchText
from services.metadata.domain.ports import StoreBusy, Transaction

R = TypeVar("R", bound=Record)
T = TypeVar("T")
Unit = Callable[[Transaction], Awaitable[Any]]
Convert = Callable[[Any], Any] | None

told = logging.getLogger("sqlalchemy.engine.direct")
"""Where SQLAlchemy tells of its statements, if somebody wants to hear of them."""
MOST_TOGETHER = 100
"""Units of work in one transaction."""
DIALECT = SQLiteDialect_pysqlite()


class Statements:
    """The statements by which records of one kind are written and read singly, made once because most are these."""

    def __init__(self, kind: type[Any], table: sa.Table) -> None:
        kept = declarations.of(kind).kept
        columns = list(table.columns)
        changing = [column for column in columns if column.name not in kept]
        names = [_quoted(column) for column in columns]
        settings = ", ".join(f"{_quoted(column)} = ?" for column in changing)
        self.insert = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 (our own names)
        self.update = f"UPDATE {table.name} SET {settings} WHERE id = ? AND etag = ?"  # noqa: S608
        self.select = f"SELECT {', '.join(names)} FROM {table.name} WHERE id IN"  # noqa: S608
        self.values = _encoding(columns)
        self.changing = _encoding(changing)
        self._kind = kind
        self._decoders = [column.type.dialect_impl(DIALECT).result_processor(DIALECT, None) for column in columns]

    def record(self, row: Iterable[Any]) -> Any:
        """The record of a row, its columns in the order of the table."""
        pairs = zip(self._decoders, row, strict=True)
        return self._kind(*(value if decode is None else decode(value) for decode, value in pairs))


def _quoted(column: "sa.Column[Any]") -> str:
    return DIALECT.identifier_preparer.quote(column.name)


def _encoding(columns: "Sequence[sa.Column[Any]]") -> Callable[[Any], tuple[Any, ...]]:
    """A function that makes the values of these columns of a record."""
    values = attrgetter(*(column.name for column in columns))
    encoders: list[Convert] = [column.type.dialect_impl(DIALECT).bind_processor(DIALECT) for column in columns]

    def encoded(record: Any) -> tuple[Any, ...]:
        pairs = zip(encoders, values(record), strict=True)
        return tuple(value if encode is None or value is None else encode(value) for encode, value in pairs)

    return encoded


PUT_TEXT = str(put_text("sqlite").compile(dialect=SQLiteDialect_pysqlite(paramstyle="qmark")))
_text_values = _encoding(list(TABLES[SearchText].columns))
STATEMENTS = {kind: Statements(kind, table) for kind, table in TABLES.items() if "id" in table.c}


class Prompt:
    """A connection whose answers are there when they are awaited."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect

    async def execute(self, statement: sa.Executable, values: Any = None) -> sa.CursorResult[Any]:
        """Execute a statement."""
        return self._connection.execute(statement, values)

    async def exec_driver_sql(self, text: str, values: Any = None) -> sa.CursorResult[Any]:
        """Execute a statement of SQLite's own."""
        return self._connection.exec_driver_sql(text, values)


class SqliteTransaction(SqlTransaction):
    """Reads and writes on the writer's connection; single records by the shortest way there is."""

    def __init__(self, connection: sa.Connection, flavour: Flavour) -> None:
        super().__init__(cast(AsyncConnection, Prompt(connection)), flavour)
        self._driver = driver_of(connection)

    async def get_all(self, kind: type[R], record_ids: Collection[str]) -> dict[str, R]:
        """The records that there are of these ids."""
        return _selected(self._driver, kind, record_ids)

    async def insert(self, record: Record) -> None:
        """Add a record."""
        statements = STATEMENTS[type(record)]
        self._execute(statements.insert, statements.values(record))

    async def update(self, record: R, etag: str) -> bool:
        """Write a record over the one of its id and etag."""
        statements = STATEMENTS[type(record)]
        return self._execute(statements.update, (*statements.changing(record), record.id, etag)) > 0

    async def put_texts(self, texts: Sequence[SearchText]) -> None:
        """Write the words of records."""
        told.info(PUT_TEXT)
        self._driver.executemany(PUT_TEXT, map(_text_values, texts))

    def _execute(self, text: str, values: tuple[Any, ...]) -> int:
        told.info(text)
        try:
            return self._driver.execute(text, values).rowcount
        except sqlite3.IntegrityError as error:
            raise self._flavour.violation(error) or error from error


def _selected(driver: sqlite3.Connection, kind: type[R], record_ids: Collection[str]) -> dict[str, R]:
    statements = STATEMENTS[kind]
    text = f"{statements.select} ({', '.join('?' * len(record_ids))})"
    told.info(text)
    rows = driver.execute(text, tuple(record_ids)).fetchall()
    return {record.id: record for record in map(statements.record, rows)}


def driver_of(connection: sa.Connection) -> sqlite3.Connection:
    """The driver's own connection."""
    return cast(sqlite3.Connection, connection.connection.driver_connection)


@dataclass(frozen=True)
class Outcome:
    """What became of some work."""

    value: Any = None
    error: Exception | None = None

    @classmethod
    def of(cls, work: Callable[[], Any]) -> "Outcome":
        """What becomes of some work."""
        try:
            return cls(work())
        except Exception as error:  # noqa: BLE001 (it is the outcome)
            return cls(error=error)

    def tell(self, answer: "asyncio.Future[Any]") -> None:
        """Give it to whoever still waits for it."""
        if answer.done():
            return
        if self.error is None:
            answer.set_result(self.value)
        else:
            answer.set_exception(self.error)


Asked = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]
"""Some work, and who is told what became of it."""


class Connected:
    """A thread with a connection of its own.

    It is no executor's: those take nothing more once the program ends, which is when some stores are closed.
    """

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self._engine = engine
        self._opened: sa.Connection | None = None
        self._asked: SimpleQueue[Asked | None] = SimpleQueue()
        threading.Thread(target=self._answer, name=name, daemon=True).start()

    async def do(self, work: Callable[..., T], *told: Any) -> T:
        """Do something in the thread."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._asked.put((partial(work, *told), loop, answer))
        return await answer

    def _answer(self) -> None:
        while (asked := self._asked.get()) is not None:
            work, loop, answer = asked
            loop.call_soon_threadsafe(Outcome.of(work).tell, answer)

    @property
    def connection(self) -> sa.Connection:
        """The connection; for the thread alone."""
        if self._opened is None:
            self._opened = self._engine.connect()
        return self._opened

    async def close(self) -> None:
        """Let what runs come to its end, then close the connection."""
        await self.do(self._disconnect)
        self._asked.put(None)

    def _disconnect(self) -> None:
        if self._opened is not None:
            self._opened.close()
        self._engine.dispose()


class Reader(Connected):
    """Reads records by their ids."""

    async def get_all(self, kind: type[R], record_ids: Collection[str]) -> dict[str, R]:
        """The records that there are of these ids."""
        return await self.do(self._get_all, kind, record_ids)

    def _get_all(self, kind: type[R], record_ids: Collection[str]) -> dict[str, R]:
        return _selected(driver_of(self.connection), kind, record_ids)


class Writer(Connected):
    """Does units of work, and answers each when its transaction is committed."""

    def __init__(self, engine: sa.Engine, flavour: Flavour) -> None:
        super().__init__(engine, "sqlite-writer")
        self._flavour = flavour
        self._waiting: deque[tuple[Unit, asyncio.Future[Any]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do a unit of work in a transaction; once begun it is carried to its end, also when nobody waits for it."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((unit, answer))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await answer

    @override
    async def close(self) -> None:
        """Let what waits come to its end, then close the connection."""
        while self._writing is not None:
            await asyncio.wait([self._writing])
        await super().close()

    async def _write_all(self) -> None:
        try:
            while together := self._next():
                outcomes = await self.do(self._done, [unit for unit, _ in together])
                for (_, answer), outcome in zip(together, outcomes, strict=True):
                    outcome.tell(answer)
        finally:
            self._writing = None

    def _next(self) -> "list[tuple[Unit, asyncio.Future[Any]]]":
        """What is to be done next, without what nobody waits for any more."""
        together: list[tuple[Unit, asyncio.Future[Any]]] = []
        while self._waiting and len(together) < MOST_TOGETHER:
            unit, answer = self._waiting.popleft()
            if not answer.done():
                together.append((unit, answer))
        return together

    def _done(self, units: Sequence[Unit]) -> list[Outcome]:
        """Do units of work in one transaction, or, where that fails as a whole, each in one of its own."""
        try:
            return self._done_together(units)
        except Exception as error:  # noqa: BLE001 (it is the outcome)
            if len(units) == 1:
                return [Outcome(error=error)]
        return [outcome for unit in units for outcome in self._done([unit])]

    def _done_together(self, units: Sequence[Unit]) -> list[Outcome]:
        with self._begun() as connection:
            if len(units) == 1:
                return [Outcome(_finished(units[0], SqliteTransaction(connection, self._flavour)))]
            return [self._done_beside(connection, unit) for unit in units]

    def _done_beside(self, connection: sa.Connection, unit: Unit) -> Outcome:
        """Do a unit of work in a transaction that is also others'."""
        driver = driver_of(connection)
        before = driver.total_changes
        try:
            return Outcome(_finished(unit, SqliteTransaction(connection, self._flavour)))
        except Exception as error:
            if driver.in_transaction and driver.total_changes == before:
                return Outcome(error=error)
            raise

    @contextmanager
    def _begun(self) -> Iterator[sa.Connection]:
        """A transaction, waited for while another process writes."""
        with self._patiently(self.connection.begin):
            yield self.connection

    def _patiently(self, begin: Callable[[], T]) -> T:
        give_up = time.monotonic() + sql.PATIENCE_SECONDS
        while True:
            try:
                return begin()
            except DBAPIError as error:
                if not self._flavour.in_the_way(error):
                    raise
                if time.monotonic() > give_up:
                    raise StoreBusy from error
            time.sleep(random.uniform(0, sql.LONGEST_PAUSE_SECONDS))  # noqa: S311 (no secret)


def _finished(unit: Unit, transaction: Transaction) -> Any:
    """What a unit of work returns. It never has to wait, because its transaction answers at once."""
    work = cast("Coroutine[Any, Any, Any]", unit(transaction))
    try:
        work.send(None)
    except StopIteration as ended:
        return ended.value
    work.close()
    raise RuntimeError("a unit of work awaits nothing but its transaction")
