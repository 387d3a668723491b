"""The tables that the migrations make are the ones that the entities declare."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from services.metadata.adapters import schema
from services.metadata.adapters.sqlite import prepare
from services.metadata.adapters.tables import METADATA
from services.metadata.domain.declarations import ENTITIES


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    prepare(f"sqlite+aiosqlite:///{tmp_path}/metadata.db")
    with sa.create_engine(f"sqlite:///{tmp_path}/metadata.db").connect() as connection:
        yield connection


def test_migrations_make_what_the_entities_declare(connection: sa.Connection):
    assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_migrations_go_down_to_nothing_and_up_again(connection: sa.Connection):
    schema.downgrade(connection, "base")
    left = sa.inspect(connection).get_table_names()
    schema.upgrade(connection)
    connection.commit()

    assert left == ["alembic_version"]
    assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_second_start_changes_nothing(connection: sa.Connection, tmp_path: Path):
    connection.commit()
    before = connection.exec_driver_sql("PRAGMA schema_version").scalar()
    connection.commit()
    prepare(f"sqlite+aiosqlite:///{tmp_path}/metadata.db")

    assert connection.exec_driver_sql("PRAGMA schema_version").scalar() == before
    assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_broken_references_stop_a_migration(connection: sa.Connection, tmp_path: Path):
    row = {"run_id": "no", "name": "loss", "split": "train", "step": 0, "value": 1.0}
    metrics = METADATA.tables["metrics"]
    connection.execute(metrics.insert(), {**row, "measure_time": ENTITIES["runs"].attributes["create_time"].empty()})
    connection.commit()
    with pytest.raises(schema.MigrationFailed, match="references lead nowhere"):
        prepare(f"sqlite+aiosqlite:///{tmp_path}/metadata.db")


def test_database_itself_enforces_names_and_references(connection: sa.Connection):
    connection.exec_driver_sql("PRAGMA foreign_keys=ON")
    metrics = METADATA.tables["metrics"]
    row = {"run_id": "no", "name": "loss", "split": "train", "step": 0, "value": 1.0}
    moment = ENTITIES["runs"].attributes["create_time"].empty()
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        connection.execute(metrics.insert(), {**row, "measure_time": moment})


def test_no_attribute_is_called_metadata():
    assert all("metadata" not in entity.attributes for entity in ENTITIES.values())


def test_what_is_referred_to_is_declared_before():
    names = list(ENTITIES)
    pairs = [(entity.name, reference.to) for entity in ENTITIES.values() for _, reference in entity.references]

    assert all(names.index(target) < names.index(name) for name, target in pairs)
