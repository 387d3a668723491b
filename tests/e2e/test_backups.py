"""The commands by which `docs/operations.md` backs up and restores the records, against real servers (004.13)."""

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.databases import digest, environment, seeded
from tests.servers import mariadb as maria
from tests.servers import postgres as postgresql
from tests.servers.mongod import mongod
from tests.unit.documents import FENCE, ROOT

OPERATIONS = ROOT / "docs" / "operations.md"
SECTION = re.compile(r"^## Backing up the records$(.*?)^## ", re.MULTILINE | re.DOTALL)
NAME = "backed_up"


@dataclass(frozen=True)
class Place:
    """A database whose records are about to be lost."""

    url: str
    variables: Mapping[str, str]
    lose: Callable[[], None]


def _sqlite(folder: Path) -> Iterator[Place]:
    file = folder / "metadata.db"
    yield Place(f"sqlite:///{file}", {"FILE": str(file)}, lambda: file.write_bytes(b"lost"))


def _postgres(_: Path) -> Iterator[Place]:
    with postgresql.postgres() as server:
        asyncio.run(server.command(f"CREATE DATABASE {NAME}"))
        told = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGUSER": postgresql.USER,
            "PGPASSWORD": postgresql.PASSWORD,
            "PGDATABASE": NAME,
            "PATH": f"{server.programs_in}:{os.environ['PATH']}",
        }

        def lose() -> None:
            asyncio.run(server.command("DROP SCHEMA public CASCADE; CREATE SCHEMA public", NAME))

        yield Place(server.url(NAME), told, lose)


def _mariadb(_: Path) -> Iterator[Place]:
    with maria.mariadb() as server:
        asyncio.run(server.command(f"CREATE DATABASE {NAME}"))
        told = {
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(server.port),
            "DB_USER": maria.USER,
            "MYSQL_PWD": maria.PASSWORD,
            "DB_NAME": NAME,
        }

        def lose() -> None:
            asyncio.run(server.command(f"DROP DATABASE {NAME}", f"CREATE DATABASE {NAME}"))

        yield Place(server.url(NAME), told, lose)


def _mongodb(_: Path) -> Iterator[Place]:
    with mongod() as server:
        yield Place(server.url(NAME), {"METADATA_URL": server.url(NAME)}, lambda: server.admin.drop_database(NAME))


PLACES = {"SQLite": _sqlite, "PostgreSQL": _postgres, "MySQL and MariaDB": _mariadb, "MongoDB, and any other": _mongodb}


def documented() -> dict[str, list[str]]:
    """The commands of the section, by its headings: one that backs up, one that restores."""
    found = SECTION.search(OPERATIONS.read_text())
    assert found
    parts = re.split(r"^### (.*)$", found[1], flags=re.MULTILINE)
    return {
        heading: [body for language, body in FENCE.findall(text) if language == "sh"]
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def run(commands: str, variables: Mapping[str, str]) -> None:
    path = f"{Path(sys.executable).parent}:{variables.get('PATH', os.environ['PATH'])}"
    told = environment(**{**variables, "PATH": path})
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], env=told, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_commands_for_every_database():
    assert {heading: len(commands) for heading, commands in documented().items()} == dict.fromkeys(PLACES, 2)


@pytest.mark.parametrize("heading", PLACES)
def test_what_is_lost_comes_back_from_its_backup(heading: str, tmp_path: Path):
    back_up, restore = documented()[heading]
    opening = PLACES[heading](tmp_path)
    place = next(opening)
    try:
        seeded(place.url, 600)
        before = digest(place.url)
        variables = {**place.variables, "COPY": str(tmp_path / "copy")}
        run(back_up, variables)
        place.lose()
        run(restore, variables)

        assert digest(place.url) == before
        assert all(count for _, count, _ in before)
    finally:
        opening.close()


@contextmanager
def _written(file: Path) -> Iterator[None]:
    """The database, open, with a project more than a moment ago."""
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(projects)")]
        values = ["'newest'" if name in ("id", "request_id", "name") else name for name in columns]
        database.execute(f"INSERT INTO projects SELECT {', '.join(values)} FROM projects WHERE id = 'p-1'")
        yield


def test_a_backup_of_a_database_in_use_has_what_was_written_last(tmp_path: Path):
    """SQLite: a plain copy of the file would not, because the newest transactions are in the journal beside it."""
    file, plain = tmp_path / "metadata.db", tmp_path / "plain"
    seeded(f"sqlite:///{file}", 60)
    seen = digest(f"sqlite:///{file}")
    with _written(file):
        shutil.copy(file, plain)
        run(documented()["SQLite"][0], {"FILE": str(file), "COPY": str(tmp_path / "copy")})

    assert {name: count for name, count, _ in digest(f"sqlite:///{tmp_path}/copy")}["projects"] == 7
    assert digest(f"sqlite:///{plain}") == seen
