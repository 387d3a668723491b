"""The shortest way for many rows into each database: the floor that the metadata service is measured against."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncmy
import asyncpg
import pymongo

from tests.servers import mariadb, mongod, postgres

COLUMNS = ("run_id", "name", "split", "step", "value", "measure_time")
TABLE = (
    "CREATE TABLE floor (run_id VARCHAR(100), name VARCHAR(200), split VARCHAR(200), step BIGINT, "
    "value DOUBLE PRECISION, measure_time {time}, PRIMARY KEY (run_id, name, split, step))"
)
PLACES = "%s, %s, %s, %s, %s, %s"
NOW = datetime.now(UTC).replace(tzinfo=None)
Write = Callable[[str, int, int], None]
"""Writes so many batches of so many rows of one run, each batch a transaction: run, rows, batches."""


@dataclass(frozen=True)
class Floor:
    """A database, and how it takes rows fastest."""

    url: str
    """For the metadata service."""
    way: str
    """What the way is called by those who know the database."""
    write: Write


def _batches(run_id: str, size: int, batches: int, moment: object = NOW) -> Iterator[list[tuple[Any, ...]]]:
    for first in range(0, size * batches, size):
        yield [(run_id, "loss", "train", step, 1 / (step + 1), moment) for step in range(first, first + size)]


@contextmanager
def _sqlite(folder: Path) -> Iterator[Floor]:
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None, check_same_thread=False)
    connection.executescript(
        f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {TABLE.format(time='TEXT')} WITHOUT ROWID"
    )

    def write(run_id: str, size: int, batches: int) -> None:
        for rows in _batches(run_id, size, batches, str(NOW)):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO floor VALUES (?, ?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")

    with closing(connection):
        yield Floor(f"sqlite:///{folder}/metadata.db", "executemany", write)


@contextmanager
def _postgres(_: Path) -> Iterator[Floor]:
    with postgres.postgres() as server:
        asyncio.run(server.command("CREATE DATABASE bench"))
        asyncio.run(server.command(TABLE.format(time="TIMESTAMP"), "bench"))

        async def copy(run_id: str, size: int, batches: int) -> None:
            connection = await asyncpg.connect(server.url("bench"))
            for rows in _batches(run_id, size, batches):
                await connection.copy_records_to_table("floor", records=rows, columns=COLUMNS)
            await connection.close()

        yield Floor(server.url("bench"), "COPY", lambda *told: asyncio.run(copy(*told)))


@contextmanager
def _mariadb(_: Path) -> Iterator[Floor]:
    with mariadb.mariadb() as server:
        asyncio.run(server.command("CREATE DATABASE bench"))
        asyncio.run(server.command(TABLE.format(time="DATETIME(6)"), database="bench"))

        async def insert(run_id: str, size: int, batches: int) -> None:
            async with _connected(server) as cursor:
                for rows in _batches(run_id, size, batches):
                    await cursor.executemany(f"INSERT INTO floor VALUES ({PLACES})", rows)

        yield Floor(server.url("bench"), "executemany", lambda *told: asyncio.run(insert(*told)))


@asynccontextmanager
async def _connected(server: mariadb.MariaDB) -> AsyncIterator[Any]:
    told = {"user": mariadb.USER, "password": mariadb.PASSWORD, "database": "bench"}
    connection = await asyncmy.connect(host="127.0.0.1", port=server.port, autocommit=True, **told)
    async with connection.cursor() as cursor:
        yield cursor
    await connection.ensure_closed()


@contextmanager
def _mongodb(_: Path) -> Iterator[Floor]:
    with mongod.mongod() as server, server.client() as client:
        durable = pymongo.WriteConcern("majority", j=True)
        floor = client["bench"].get_collection("floor", write_concern=durable)

        def write(run_id: str, size: int, batches: int) -> None:
            for rows in _batches(run_id, size, batches):
                floor.insert_many([dict(zip(COLUMNS, row, strict=True)) for row in rows], ordered=False)

        yield Floor(server.url("bench"), "insert_many", write)


DATABASES: dict[str, Callable[[Path], AbstractContextManager[Floor]]] = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "mariadb": _mariadb,
    "mongodb": _mongodb,
}
"""A server of each kind, for the length of the block."""
