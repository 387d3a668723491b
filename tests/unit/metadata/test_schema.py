"""The tables that the migrations make are the ones that the entities declare."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.metadata.adapters import schema
from services.metadata.adapters.sqlite import prepare
from services.metadata.adapters.tables import METADATA
from services.metadata.domain.declarations import ENTITIES
from services.metadata.domain.entities import ArtifactCopy


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    prepare(f"sqlite+aiosqlite:///{tmp_path}/metadata.db")
    with sa.create_engine(f"sqlite:///{tmp_path}/metadata.db").connect() as connection:
        yield connection


def test_migrations_make_what_the_entities_declare(connection: sa.Connection):
    assert schema.differences(connection) == []


def test_migrations_go_down_to_nothing_and_up_again(connection: sa.Connection):
    schema.downgrade(connection, "base")
    left = sa.inspect(connection).get_table_names()
    schema.upgrade(connection)
    connection.commit()

    assert left == ["alembic_version"]
    assert schema.differences(connection) == []


RECORD = "'2026-01-02 03:04:05.000000', '2026-01-03 03:04:05.000000', 'e', NULL, 'ada'"


def _old_artifact(name: str, state: str, backend: str) -> str:
    place = f"'{backend}', 'objects', 'file:///{name}', 9, ''" if backend else "'', '', '', 0, ''"
    return (
        f"INSERT INTO artifacts VALUES ('{name}', {RECORD}, '', 'dataset', '{state}', 'datasets', 'k/{name}', {place})"
    )


def test_what_was_recorded_before_is_kept_on_the_way_up_and_down(connection: sa.Connection):
    """Copies and the moment of writing follow from what was known; references stay."""
    schema.downgrade(connection, "0001")
    before = sa.inspect(connection).get_columns("artifacts")
    connection.exec_driver_sql(_old_artifact("written", "active", "local"))
    connection.exec_driver_sql(_old_artifact("coming", "pending", ""))
    dataset = f"('d', {RECORD}, NULL, 'written', 'n', 'f', 1, 1, '[]', 9, '', NULL, '', 'upload', 'ready')"
    connection.exec_driver_sql(f"INSERT INTO datasets VALUES {dataset}")
    schema.upgrade(connection)
    artifacts = METADATA.tables["artifacts"]
    names = ("id", "copies", "fallback", "storage_failures", "download_count", "write_time", "expire_time")
    kept = connection.execute(sa.select(artifacts.c[names]).order_by(artifacts.c.id)).all()
    connection.exec_driver_sql("UPDATE artifacts SET state = 'deleted' WHERE id = 'written'")
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    schema.downgrade(connection, "0001")
    after = sa.inspect(connection).get_columns("artifacts")
    states = connection.exec_driver_sql("SELECT id, state FROM artifacts ORDER BY id").all()

    written = datetime(2026, 1, 3, 3, 4, 5, tzinfo=UTC)
    assert kept == [
        ("coming", [], False, [], 0, None, None),
        ("written", [ArtifactCopy("local", "objects", "file:///written")], False, [], 0, written, None),
    ]
    assert broken == []
    assert states == [("coming", "pending"), ("written", "deleting")]
    assert [column["name"] for column in after] == [column["name"] for column in before]


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
