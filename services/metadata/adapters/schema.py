"""Brings the tables of a database to the newest revision, by Alembic."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

LOCATION = "services.metadata:migrations"


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
    command.upgrade(config_for(connection), revision)


def downgrade(connection: sa.Connection, revision: str) -> None:
    """Downgrade, in the transaction that the connection is in."""
    command.downgrade(config_for(connection), revision)
