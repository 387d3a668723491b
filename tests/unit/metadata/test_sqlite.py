"""SQLite when others write the same file."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from servicekit import errors
from services.metadata.adapters import sql
from services.metadata.adapters.sqlite import sqlite_store
from services.metadata.domain.entities import Project
from services.metadata.domain.records import Records


async def test_write_waits_for_another_process_and_reads_do_not(tmp_path: Path):
    async with sqlite_store(f"sqlite+aiosqlite:///{tmp_path}/metadata.db") as store:
        projects = Records(Project, store)
        first = await projects.create(Project(user_id="ada", name="first"), "one")
        other = sqlite3.connect(tmp_path / "metadata.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(projects.create(Project(user_id="ada", name="second"), "two"))
        await asyncio.sleep(0.7)
        read = await projects.get(first.id)
        waited = not writing.done()
        other.execute("ROLLBACK")
        other.close()
        second = await writing

    assert waited
    assert read == first
    assert second.name == "second"


async def test_write_that_waits_too_long_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sql, "PATIENCE_SECONDS", 0.1)
    async with sqlite_store(f"sqlite+aiosqlite:///{tmp_path}/metadata.db") as store:
        projects = Records(Project, store)
        other = sqlite3.connect(tmp_path / "metadata.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.Unavailable):
            await projects.create(Project(user_id="ada", name="first"), "one")
        other.execute("ROLLBACK")
        other.close()
        after = await projects.create(Project(user_id="ada", name="first"), "one")

    assert after.name == "first"


async def test_unit_that_fails_leaves_nothing_and_hinders_nobody(tmp_path: Path):
    async with sqlite_store(f"sqlite+aiosqlite:///{tmp_path}/metadata.db") as store:
        projects = Records(Project, store)

        async def stumble(_: object) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await projects.create(Project(id="p", user_id="ada", name="first"), "one", stumble)
        missing = await store.get(Project, "p")
        after = await projects.create(Project(id="p", user_id="ada", name="first"), "one")

    assert missing is None
    assert after.id == "p"


async def test_probe_fails_when_the_tables_are_gone(tmp_path: Path):
    async with sqlite_store(f"sqlite+aiosqlite:///{tmp_path}/metadata.db") as store:
        await store.probe()
        other = sqlite3.connect(tmp_path / "metadata.db")
        other.execute("DROP TABLE alembic_version")
        other.close()
        with pytest.raises(Exception, match="alembic_version"):
            await store.probe()
