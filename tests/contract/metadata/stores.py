"""Every store that the contract is held against, each on a real server."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from services.metadata.adapters.memory import MemoryStore
from services.metadata.adapters.tables import METADATA
from services.metadata.bootstrap import open_store
from services.metadata.domain.ports import Store
from services.metadata.settings import MetadataSettings

Database = AbstractAsyncContextManager[str]


def opened(url: str, **settings: object) -> AbstractAsyncContextManager[Store]:
    """The store at an address."""
    return open_store(MetadataSettings(url=url, _env_file=None, **settings))


async def _migrate(url: str) -> None:
    async with opened(url):
        pass


@asynccontextmanager
async def _new_sqlite(_: pytest.FixtureRequest, folder: Path) -> AsyncIterator[str]:
    yield f"sqlite:///{folder}/new/metadata.db"


@asynccontextmanager
async def _sqlite(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[str]:
    template = request.getfixturevalue("sqlite_template")
    if not template.exists():
        await _migrate(f"sqlite:///{template}")
    shutil.copyfile(template, folder / "metadata.db")
    yield f"sqlite:///{folder}/metadata.db"


def _postgres(request: pytest.FixtureRequest, _: Path) -> Database:
    server = request.getfixturevalue("postgres_server")
    return server.migrated(_migrate)


def _mariadb(request: pytest.FixtureRequest, _: Path) -> Database:
    server = request.getfixturevalue("mariadb_server")
    return server.migrated(_migrate, METADATA.tables)


@asynccontextmanager
async def _mongodb(request: pytest.FixtureRequest, _: Path, new: bool = False) -> AsyncIterator[str]:
    server = request.getfixturevalue("mongod_server")
    with server.new_database() if new else server.database() as url:
        yield url


DATABASES: dict[str, Callable[[pytest.FixtureRequest, Path], Database]] = {
    "sqlite": _sqlite,
    "postgres": _postgres,
    "mariadb": _mariadb,
    "mongodb": _mongodb,
}
"""How to get the address of an empty database of each kind."""

NEW_DATABASES: dict[str, Callable[[pytest.FixtureRequest, Path], Database]] = {
    "sqlite": _new_sqlite,
    "postgres": lambda request, _: request.getfixturevalue("postgres_server").database(),
    "mariadb": lambda request, _: request.getfixturevalue("mariadb_server").database(),
    "mongodb": lambda request, _: _mongodb(request, _, new=True),
}
"""The same without tables."""

SQL = ("sqlite", "postgres", "mariadb")
STORES = ["memory", *DATABASES]


@asynccontextmanager
async def store_of(name: str, request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Store]:
    """An empty store of each kind."""
    if name == "memory":
        yield MemoryStore()
        return
    async with DATABASES[name](request, folder) as url, opened(url) as store:
        yield store
