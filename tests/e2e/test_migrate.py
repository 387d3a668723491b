"""`modelyard migrate`: from any database to any other, whatever happens on the way."""

import asyncio
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncmy
import asyncpg
import pytest

from modelyard import migration
from services.metadata.adapters import sql
from tests.e2e.databases import digest, exported, seeded, started, told
from tests.servers import mariadb as maria
from tests.servers.mariadb import MariaDB
from tests.servers.mongod import Mongod, mongod
from tests.servers.postgres import Postgres, postgres

METRICS = 100_000
BEGUN = (2_000, 20_000)
"""Records after which a migration is killed: some number between these."""
PATIENCE_SECONDS = 60
NAME = "migrated"

Count = Callable[[], int]


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as server:
        asyncio.run(server.command(f"CREATE DATABASE {NAME}"))
        yield server


@pytest.fixture(scope="module")
def mariadb_server() -> Iterator[MariaDB]:
    with maria.mariadb() as server:
        asyncio.run(server.command(f"CREATE DATABASE {NAME}"))
        yield server


@pytest.fixture(scope="module")
def mongod_server() -> Iterator[Mongod]:
    with mongod() as server:
        yield server


def migrate(source: str, target: str, *words: str) -> "subprocess.Popen[str]":
    """The command, with addresses that nobody sees who lists the machine's processes."""
    return started("migrate", "--from", "env:SOURCE", "--to", "env:TARGET", *words, SOURCE=source, TARGET=target)


def noted_in_postgres(url: str) -> Count:
    async def ask() -> int:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval("SELECT count FROM imports") or 0
        finally:
            await connection.close()

    return lambda: asyncio.run(ask())


def noted_in_mariadb(server: MariaDB) -> Count:
    async def ask() -> int:
        told = {"host": "127.0.0.1", "port": server.port, "user": maria.USER, "password": maria.PASSWORD}
        connection = await asyncmy.connect(**told, database=NAME)
        try:
            async with connection.cursor() as cursor:
                await cursor.execute("SELECT count FROM imports")
                return sum(row[0] for row in await cursor.fetchall())
        finally:
            await connection.ensure_closed()

    return lambda: asyncio.run(ask())


def noted_in_mongodb(server: Mongod) -> Count:
    def ask() -> int:
        with server.client() as client:
            return int((client[NAME]["imports"].find_one() or {}).get("count", 0))

    return ask


def kill_on_the_way(source: str, target: str, count: Count) -> int:
    """Begin a migration and kill it after some batch; how many records the target had a moment before."""
    process, wanted = migrate(source, target), random.randint(*BEGUN)
    give_up, seen = time.monotonic() + PATIENCE_SECONDS, 0
    while seen < wanted and time.monotonic() < give_up and process.poll() is None:
        with suppress(Exception):  # there is no such table yet
            seen = count()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return seen


def test_round_trip_through_every_database(
    tmp_path: Path, postgres_server: Postgres, mariadb_server: MariaDB, mongod_server: Mongod
):
    """004.16, M.4: every kind of record and 100,000 metrics, killed three times, and the same to the last byte."""
    begin, end = f"sqlite:///{tmp_path}/begin.db", f"sqlite:///{tmp_path}/end.db"
    seeded(begin, METRICS)
    hops: list[tuple[str, Count | None]] = [
        (postgres_server.url(NAME), noted_in_postgres(postgres_server.url(NAME))),
        (mariadb_server.url(NAME), noted_in_mariadb(mariadb_server)),
        (mongod_server.url(NAME), noted_in_mongodb(mongod_server)),
        (end, None),
    ]
    at, cut = begin, []
    for target, count in hops:
        if count:
            cut.append(kill_on_the_way(at, target, count))
        status, said = told(migrate(at, target))

        assert status == 0, said
        assert "Both databases have the same records." in said
        assert ("Going on after" in said) == (count is not None), said
        assert "s3cret" not in said
        at = target

    assert all(0 < each < METRICS for each in cut)
    assert exported(end) == exported(begin)


@pytest.fixture(scope="module")
def some_records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("some") / "records.db"
    seeded(f"sqlite:///{file}", 600)
    return file


@pytest.fixture
def source(some_records: Path, tmp_path: Path) -> str:
    shutil.copyfile(some_records, tmp_path / "source.db")
    return f"sqlite:///{tmp_path}/source.db"


async def test_a_target_that_cannot_be_used_for_a_while_is_waited_for(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As a database is that has not noticed yet that whoever wrote there was killed."""
    monkeypatch.setattr(sql, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(migration, "PAUSE_SECONDS", 0.1)
    given, target = migration.address_of(source), migration.address_of(f"sqlite:///{tmp_path}/target.db")
    counts: Counter[str] = Counter()
    async with migration.migration(given, target) as moving:
        totals = (await moving.progress()).totals
        other = sqlite3.connect(tmp_path / "target.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        copying = asyncio.create_task(moving.copy(100, lambda entity, count: counts.update({entity: count})))
        await asyncio.sleep(1.5)
        waited = not copying.done()
        other.execute("ROLLBACK")
        other.close()
        copied = await copying
        compared = await moving.compare()

    assert waited
    assert copied == sum(totals.values())
    assert {entity: count for entity, count in counts.items() if count} == {k: v for k, v in totals.items() if v}
    assert all(each.equal for each in compared)


def test_a_migration_that_is_complete_is_compared_again(source: str, tmp_path: Path):
    """Also after something was written to the source, which is then named."""
    target = f"sqlite:///{tmp_path}/target.db"
    first, _ = told(migrate(source, target))
    again, said = told(migrate(source, target))
    with sqlite3.connect(tmp_path / "source.db") as database:
        database.execute("UPDATE projects SET status = 'completed' WHERE id = 'p-1'")
    third, different = told(migrate(source, target))

    assert (first, again, third) == (0, 0, 1)
    assert "All has been copied before" in said
    assert "projects differ." in different
    assert "empty the target" in different.replace("\n", " ")


def test_a_migration_that_is_stopped_says_how_it_goes_on(source: str, tmp_path: Path):
    """By Ctrl-C, after which nothing but the target is left behind."""
    target, scratch = tmp_path / "target.db", tmp_path / "scratch"
    scratch.mkdir()
    words = ("migrate", "--from", source, "--to", f"sqlite:///{target}", "--batch-size", "1")
    process = started(*words, TMPDIR=str(scratch))
    give_up = time.monotonic() + PATIENCE_SECONDS
    while _noted(target) < 20 and time.monotonic() < give_up:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    status, said = told(process)
    left = list(scratch.iterdir())
    after, _ = told(started(*words))

    assert status == 130, said
    assert "the same command goes on with the rest" in said
    assert left == []
    assert after == 0
    assert digest(f"sqlite:///{target}") == digest(source)


def _noted(path: Path) -> int:
    with suppress(sqlite3.Error), sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        return sum(count for (count,) in database.execute("SELECT count FROM imports"))
    return 0


def test_a_target_with_other_records_is_refused(source: str, tmp_path: Path):
    target = f"sqlite:///{tmp_path}/target.db"
    seeded(target, 6)
    before = digest(target)
    status, said = told(migrate(source, target))

    assert status == 1
    assert "The database has records already" in said
    assert "Import into one that is empty" in said
    assert digest(target) == before


@pytest.mark.parametrize(
    ("given", "target", "says"),
    [
        ("sqlite:///{0}/source.db", "sqlite+aiosqlite:///{0}/./source.db", "copied to itself"),
        ("sqlite:///{0}/nowhere.db", "sqlite:///{0}/target.db", "There is no database sqlite:///{0}/nowhere.db"),
        ("sqlite:///{0}/empty.db", "sqlite:///{0}/target.db", "The source has no records"),
        ("sqlite:///{0}/text.db", "sqlite:///{0}/target.db", "is no SQLite database"),
        ("env:NOBODY", "sqlite:///{0}/target.db", "variable NOBODY is not set"),
        ("nothing", "sqlite:///{0}/target.db", "An address begins with"),
        ("sqlite:///{0}/source.db", "oracle://a:hidden@b/c", "the database is sqlite:////absolute/path"),
        ("postgresql://a:hidden@h/d", "postgres://b:hidden@H:5432/d?sslmode=require", "copied to itself"),
    ],
)
def test_what_cannot_be_copied_is_refused_without_a_trace(
    source: str, tmp_path: Path, given: str, target: str, says: str
):
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("once upon a time, there was no database")
    words = ("migrate", "--from", given.format(tmp_path), "--to", target.format(tmp_path))
    status, said = told(started(*words))

    assert status == 1
    assert says.format(tmp_path) in said
    assert "hidden" not in said
    assert "Traceback" not in said
    assert not (tmp_path / "nowhere.db").exists()
