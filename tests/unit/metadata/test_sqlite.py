"""SQLite when others write the same file."""

import asyncio
import dataclasses
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from servicekit import errors
from services.metadata.adapters import selecting, sql
from services.metadata.adapters.sqlite import prepare, sqlite_store
from services.metadata.domain.declarations import EPOCH
from services.metadata.domain.entities import Artifact, ArtifactState, Project
from services.metadata.domain.ports import Query, Transaction
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


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query({"placement": "models", "key": "a"}), "(placement=? AND key=?)"),
        (Query({"placement": "models"}), "ix_artifacts_placement_create_time_id"),
        (Query({"project_id": "p"}), "ix_artifacts_project_id_create_time_id"),
        (Query({"state": ArtifactState.ACTIVE}, {"expire_time": EPOCH}), "(state=? AND expire_time<?)"),
        (Query({"state": ArtifactState.PENDING}, {"update_time": EPOCH}), "(state=? AND update_time<?)"),
    ],
)
async def test_lists_that_sweeps_ask_for_read_no_more_than_they_find(tmp_path: Path, query: Query, index: str):
    prepare(f"sqlite+aiosqlite:///{tmp_path}/metadata.db")
    engine = sa.create_engine(f"sqlite:///{tmp_path}/metadata.db")
    statement = selecting.select(Artifact, query, "sqlite").compile(engine, compile_kwargs={"literal_binds": True})
    with engine.connect() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]

    assert plan[0].startswith("SEARCH artifacts USING INDEX")
    assert index in plan[0]


async def test_count_is_not_undone_by_who_read_the_record_before(tmp_path: Path):
    async with sqlite_store(f"sqlite+aiosqlite:///{tmp_path}/metadata.db") as store:
        artifacts = Records(Artifact, store)
        given = Artifact(user_id="ada", kind="model", placement="models", key="a")
        read = await artifacts.create(given, "one")

        async def count_then_write_what_was_read(transaction: Transaction) -> None:
            await transaction.count(Artifact, {"id": read.id}, "download_count")
            assert await transaction.update(dataclasses.replace(read, backend="azure"), read.etag)

        await store.write(count_then_write_what_was_read)
        now = await artifacts.get(read.id)

    assert (now.download_count, now.backend) == (1, "azure")


async def test_units_that_share_a_transaction_stand_and_fall_each_by_itself(tmp_path: Path):
    """One fails before it has changed anything, one after; what the others did is there, and done once."""
    async with sqlite_store(f"sqlite+aiosqlite:///{tmp_path}/metadata.db") as store:
        projects = Records(Project, store)
        await projects.create(Project(id="first", user_id="ada", name="first"), "first")
        begun: list[str] = []

        def creating(name: str, fails: bool = False) -> asyncio.Task[Project]:
            async def also(transaction: Transaction) -> None:
                begun.append(name)
                assert await transaction.get(Project, name) is not None
                if fails:
                    raise ZeroDivisionError

            return asyncio.create_task(projects.create(Project(id=name, user_id="ada", name=name), name, also))

        outcomes = await asyncio.gather(
            creating("second"), creating("first"), creating("third", fails=True), creating("fourth"),
            return_exceptions=True,
        )  # fmt: skip
        found = {each.id for each in await store.find(Project, Query(limit=10))}

    assert [type(each) for each in outcomes] == [Project, Project, ZeroDivisionError, Project]
    assert begun == ["second", "third", "second", "third", "fourth"]
    assert found == {"first", "second", "fourth"}


async def test_unit_that_waits_for_something_else_is_refused_and_leaves_nothing(tmp_path: Path):
    async with sqlite_store(f"sqlite+aiosqlite:///{tmp_path}/metadata.db") as store:
        projects = Records(Project, store)

        async def dawdle(_: Transaction) -> None:
            await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match="nothing but its transaction"):
            await projects.create(Project(id="p", user_id="ada", name="first"), "one", dawdle)

        assert await store.get(Project, "p") is None
