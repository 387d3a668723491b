"""The shortest way for many rows into each database: the floor that the metadata service is measured against."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pymongo

from tests.servers.mariadb import mariadb
from tests.servers.mongod import mongod
from tests.servers.postgres import postgres

COLUMNS = ("run_id", "name", "split", "step", "value", "measure_time")
TABLE = (
    "CREATE TABLE floor (run_id VARCHAR(100) NOT NULL, name VARCHAR(200) NOT NULL, split VARCHAR(200) NOT NULL, "
    "step BIGINT NOT NULL, value DOUBLE PRECISION NOT NULL, measure_time TIMESTAMP NOT NULL, "
    "PRIMARY KEY (run_id, name, split, step))"
)


@dataclass(frozen=True)
class Floor:
    """A database, and how it takes rows fastest."""

    url: str
    """For the metadata service."""
    way: str
    """What the driver calls it."""
    write: Callable[[str, int, int], None]
    """Writes so many batches of so many rows of a run, each batch a transaction."""


def _rows(run_id: str, first: int, count: int) -> list[tuple[Any, ...]]:
    now = datetime.now(UTC).replace(tzinfo=None)
    return [(run_id, "loss", "train", step, 1 / (step + 1), now) for step in range(first, first + count)]


@contextmanager
def _sqlite(folder: Path) -> Iterator[Floor]:
    folder.mkdir(parents=True)
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None, check_same_thread=False)
    connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {TABLE} WITHOUT ROWID;")

    def write(run_id: str, size: int, batches: int) -> None:
        for number in range(batches):
            rows = [(*row[:5], "2026-01-01 00:00:00.000000") for row in _rows(run_id, number * size, size)]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO floor VALUES (?, ?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")

    yield Floor(f"sqlite:///{folder}/metadata.db", "executemany", write)
    connection.close()


DATABASES: dict[str, Callable[[Path], AbstractContextManager[Floor]]] = {"sqlite": _sqlite}
