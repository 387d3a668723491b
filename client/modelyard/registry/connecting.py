"""Ways to a registry, by the names that programs know them by (004.8)."""

from pathlib import Path
from typing import Any

from modelyard.registry.config import Database, database_in, database_of, default_database
from modelyard.registry.opening import GRPC, UNIX, Target, target_of
from modelyard.registry.registries import LOCAL_USER, AsyncRegistry, Registry


def connect(target: str = "", user_id: str = LOCAL_USER, token: str | None = None, **parts: Any) -> Registry:
    """Open a registry: a metadata service (grpc://host:port, unix:/path), a database, or the default one.

    `parts` are those of `create_ai_database`. RegistryError when it cannot be opened.
    """
    return Registry(find(target, token, **parts), user_id)


def connect_async(target: str = "", user_id: str = LOCAL_USER, token: str | None = None, **parts: Any) -> AsyncRegistry:
    """The same for programs with an event loop; it is opened by `async with`."""
    return AsyncRegistry(find(target, token, **parts), user_id)


def find(target: str = "", token: str | None = None, **parts: Any) -> Target:
    """What an address means: that of a service, that of a database, or, when it is empty, of the default one."""
    if target.startswith((GRPC, UNIX)):
        return target_of(target, token)
    if not target:
        return _target_of(default_database())
    known = target_of(target)  # refuses what is neither
    return _target_of(database_of(connection_string=known.url, **parts))


def _target_of(database: Database) -> Target:
    return target_of(database.url, pool=database.pool, echo=database.echo)


def create_ai_database(
    backend: str = "sqlite", connection_string: str | None = None, user_id: str = LOCAL_USER, **parts: Any
) -> Registry:
    """Open the registry in a database of a kind: "sqlite", "postgresql", "mysql" or "mongodb".

    The database is told by its connection string, or by `parts`: path for SQLite; host, port, database, user, password
    and options for a server. Besides pool_size, max_overflow and pool_pre_ping tell how connections to it are kept,
    and echo whether every SQL statement is written to standard error.
    """
    return Registry(_target_of(database_of(backend, connection_string=connection_string, **parts)), user_id)


def create_ai_database_from_config(path: str | Path = "ai_db_config.yaml", user_id: str = LOCAL_USER) -> Registry:
    """Open the registry that a configuration file tells of, in YAML or JSON; `modelyard registry template` shows one.

    A relative path of a SQLite file is in the folder of the configuration file; ${NAME} is a variable of the
    environment.
    """
    return Registry(_target_of(database_in(path)), user_id)


def get_default_database(user_id: str = LOCAL_USER) -> Registry:
    """Open the registry that nobody named.

    It is that of the configuration file (AI_DB_CONFIG, or ai_db_config.yaml, .yml or .json in the working directory),
    else that of the environment (AI_DB_BACKEND, AI_DB_CONNECTION_STRING or DATABASE_URL), else the SQLite file
    ai_models.db in the working directory.
    """
    return Registry(_target_of(default_database()), user_id)


ai_db = get_default_database
