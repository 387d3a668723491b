"""The tables of every SQL database: made by migrations, as the entities declare them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.metadata.adapters import schema
from services.metadata.adapters.sql import SqlStore
from services.metadata.domain import declarations, grammar, ordering
from services.metadata.domain.entities import Metric, Project, Run
from services.metadata.domain.ports import Query
from services.metadata.domain.records import Records, new_record
from services.metadata.domain.searching import Search

from .stores import NEW_DATABASES, SQL, opened


@pytest.fixture(params=SQL)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStore]:
    async with NEW_DATABASES[request.param](request, tmp_path) as url, opened(url) as store:
        yield store


def _there_and_back(connection: sa.Connection) -> "tuple[list[str], str | None]":
    schema.downgrade(connection, "base")
    connection.commit()
    left = sa.inspect(connection).get_table_names()
    schema.upgrade(connection)
    connection.commit()
    return left, schema.version(connection)


async def test_migrations_make_what_the_entities_declare_also_the_second_time(store: SqlStore):
    """004.1, 004.21"""
    async with store._writers.connect() as connection:
        first = await connection.run_sync(schema.differences)
        await connection.rollback()
        left, version = await connection.run_sync(_there_and_back)
        second = await connection.run_sync(schema.differences)
        newest = await connection.run_sync(schema.is_newest)

    assert first == []
    assert left == ["alembic_version"]
    assert version is not None
    assert newest
    assert second == []


COLLATIONS = {
    "postgresql": ("C", "table_schema = 'public' AND data_type IN ('character varying', 'text')"),
    "mysql": ("utf8mb4_nopad_bin", "table_schema = DATABASE() AND data_type = 'varchar'"),
}


@pytest.mark.parametrize("store", ["postgres", "mariadb"], indirect=True)
async def test_every_text_is_compared_by_its_characters_alone(store: SqlStore):
    """Also in columns that a later migration changed."""
    collation, texts = COLLATIONS[store._writers.dialect.name]
    question = f"SELECT DISTINCT collation_name FROM information_schema.columns WHERE {texts}"
    async with store._readers.connect() as connection:
        found = (await connection.exec_driver_sql(question)).scalars().all()

    assert found == [collation]


async def test_a_difference_would_be_found(store: SqlStore):
    """The comparison above means something."""
    changes = [
        "ALTER TABLE projects ADD COLUMN surplus INTEGER",
        "DROP INDEX ix_projects_create_time_id" + (" ON projects" if store._writers.dialect.name == "mysql" else ""),
    ]
    async with store._writers.begin() as connection:
        for change in changes:
            await connection.exec_driver_sql(change)
        found = await connection.run_sync(schema.differences)

    assert sorted(difference[0] for difference in found) == ["add_index", "remove_column"]


async def test_who_may_only_read_and_write_can_start_once_the_tables_are_there(postgres_server):
    """004.12"""
    async with postgres_server.database() as url:
        async with opened(url):
            pass
        name = url.rpartition("/")[2]
        await postgres_server.command(
            f"""CREATE ROLE worker_{name} LOGIN PASSWORD 'w'; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO worker_{name}""",
            database=name,
        )
        worker = f"postgres://worker_{name}:w@127.0.0.1:{postgres_server.port}/{name}?sslmode=disable"
        async with opened(worker) as store:
            await store.probe()
            await Records(Project, store).create(Project(user_id="ada", name="first"), "one")
            found = await store.find(Project, Query())
        await postgres_server.command(f"DROP OWNED BY worker_{name}; DROP ROLE worker_{name}", database=name)

    assert [each.name for each in found] == ["first"]


async def test_what_was_there_before_is_found_and_listed_by_what_it_came_to(store: SqlStore):
    """What follows from records is filled in for those that an earlier program wrote."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    runs = [new_record(Run(id=name, user_id="ada", name=f"Run {name}"), None, now) for name in "abc"]
    metrics = [
        Metric("a", "m", "train", 9, 0.9, now),
        Metric("a", "m", "test", 1, 0.1, now),
        Metric("b", "m", "train", 1, 0.7, now),
        Metric("b", "m", "train", 2, 0.5, now),
    ]

    async def write(transaction) -> None:
        for run in runs:
            await transaction.insert(run)
        await transaction.put_metrics(metrics)

    await store.write(write)
    async with store._writers.connect() as connection:
        await connection.run_sync(schema.downgrade, "0004")
        await connection.commit()
        await connection.run_sync(schema.upgrade)
        await connection.commit()
    declaration = declarations.of(Run)
    by_metric = Query(limit=5, order=ordering.parse(declaration, "metrics.m"))
    found = await store.find(Run, by_metric)
    of_train = await store.find(Run, Query(limit=5, where_true=grammar.parse(declaration, "metrics.train.m = 0.5")))
    searched = await Search(store).page("run B", "ada", [], 0, "")

    assert [run.id for run in found] == ["a", "b", "c"]
    assert [run.id for run in of_train] == ["b"]
    assert [(text.record_id, text.name) for text in searched.records] == [("b", "Run b")]
