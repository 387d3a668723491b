"""Brings the tables of a database to the newest revision, by Alembic."""

import threading
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from services.metadata.adapters import tables

LONG_TEXT = "LONGTEXT"
"""What MariaDB calls its JSON when it is asked."""
LOCATION = "services.metadata:migrations"
# Alembic keeps what it is at in a global place, so that two threads must not migrate at once, whatever they migrate.
_ONE_AT_A_TIME = threading.Lock()


class MigrationFailed(Exception):
    """A migration left the database in a state that must not be kept."""


def config_for(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration, for the migrations of this package and a connection to run them on."""
    config = Config()
    config.set_main_option("script_location", LOCATION)
    config.attributes["connection"] = connection
    return config


def upgrade(connection: sa.Connection, revision: str = "head") -> None:
    """Upgrade, in the transaction that the connection is in."""
    with _ONE_AT_A_TIME:
        command.upgrade(config_for(connection), revision)


def downgrade(connection: sa.Connection, revision: str) -> None:
    """Downgrade, in the transaction that the connection is in."""
    with _ONE_AT_A_TIME:
        command.downgrade(config_for(connection), revision)


def version(connection: sa.Connection) -> str | None:
    """The revision that the tables are at; None where there are none."""
    return MigrationContext.configure(connection).get_current_revision()


def is_newest(connection: sa.Connection) -> bool:
    """Whether there is nothing to upgrade."""
    return version(connection) == ScriptDirectory.from_config(config_for()).get_current_head()


def differences(connection: sa.Connection) -> list[Any]:
    """What the tables have otherwise than the entities declare, as Alembic tells it."""
    context = MigrationContext.configure(connection, opts={"compare_type": _differ, "include_name": _is_declared})
    return list(compare_metadata(context, tables.build(connection.dialect.name)))


def _is_declared(name: str | None, kind: str, _: Any) -> bool:
    """All but what full-text indexes are made of, which each database has in its own way."""
    return not (name or "").startswith(FULL_TEXT.get(kind, (" ",)))


FULL_TEXT = {"table": ("search_index", "search_numbers"), "index": ("ft_",)}


def _differ(context: MigrationContext, *told: Any) -> bool | None:
    """Whether a column's type differs; None leaves it to Alembic, which does not know how ours are written down."""
    _, _, found, declared = told
    plain = getattr(declared, "impl", declared)
    if not isinstance(plain, sa.JSON | sa.Text):
        return None
    written = context.dialect.type_compiler_instance.process(plain)
    return str(found).partition(" ")[0] not in (written, LONG_TEXT if written == "JSON" else written)
