"""What databases that are servers have in common: addresses, pools, and how a store over one begins and ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from servicekit import errors
from servicekit.addresses import LAST_PORT
from servicekit.logging import get_logger
from services.metadata.adapters import dialects, schema
from services.metadata.adapters.sql import PATIENCE_SECONDS, Flavour, SqlStore
from services.metadata.domain.ports import StoreUnreachable

log = get_logger()

CONNECT_SECONDS = 10
LOCK_SECONDS = 5
"""How long the database lets a transaction wait for another before it is begun anew."""
START_SECONDS = 30.0
"""How long a server may take that is just starting beside us."""
START_PAUSE_SECONDS = 0.5


class StoreRefused(errors.NotReady):
    """The database at {url} does not let us in: {reason}. Check the address, the user and the password."""


class AddressUnreadable(errors.InvalidInput):
    """The address of the database cannot be read. Write it as scheme://user:password@host:port/database, with a
    port between 1 and 65535, and every character of user and password that is neither a letter nor a digit as %XX.
    """


class AddressWrong(errors.InvalidInput):
    """The address of the database has the option {option}, which is not known. It may have: {choices}."""


@dataclass(frozen=True)
class Pool:
    """How many connections are kept, and how."""

    size: int = 5
    """Connections that are kept open."""
    overflow: int = 10
    """Connections besides, for as long as they are used."""
    recycle_seconds: float = 1800.0
    """Age from which a connection is not used again."""
    pre_ping: bool = True
    """Whether a connection is tried before it is used."""


@dataclass(frozen=True)
class Server:
    """A database that is a server."""

    url: sa.URL
    """With the name of the driver, and without options."""
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """For the driver's connect()."""

    @property
    def shown(self) -> str:
        """The address without its password."""
        return self.url.set(drivername=self.url.get_backend_name()).render_as_string(hide_password=True)


def parse(url: str, driver: str, options: Mapping[str, str]) -> tuple[sa.URL, dict[str, str]]:
    """The address for a driver, and its options by the names that the driver's are known by here."""
    given = _read(url)
    told = {}
    for name, value in given.query.items():
        known = options.get(name.replace("-", "_"))
        if known is None:
            raise AddressWrong(option=name, choices=", ".join(sorted(options)))
        told[known] = value if isinstance(value, str) else value[-1]
    return given.set(drivername=driver, query={}), told


def _read(url: str) -> sa.URL:
    try:
        given = sa.make_url(url)
    except (ValueError, ArgumentError):  # whose message may hold the password
        raise AddressUnreadable from None
    if given.port is not None and not 0 < given.port <= LAST_PORT:
        raise AddressUnreadable
    return given


def engine_of(server: Server, pool: Pool, **options: Any) -> AsyncEngine:
    """Connections to a server, none of them open yet."""
    engine = create_async_engine(
        server.url,
        connect_args=dict(server.arguments),
        isolation_level="READ COMMITTED",
        pool_size=pool.size,
        max_overflow=pool.overflow,
        pool_recycle=int(pool.recycle_seconds),
        pool_pre_ping=pool.pre_ping,
        pool_timeout=PATIENCE_SECONDS,
        hide_parameters=True,  # what users record is no news for a log
        **options,
    )
    dialects.teach(engine.sync_engine.dialect)
    return engine


def _kind(dialect: Dialect) -> str:
    """For example "postgresql 16.14"."""
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    return f"{name} {'.'.join(map(str, getattr(dialect, 'server_version_info', ())))}"


@asynccontextmanager
async def pooled_store(
    server: Server,
    engine: AsyncEngine,
    readers: AsyncEngine,
    flavour: Flavour,
    prepare: Callable[[sa.Connection], None],
) -> AsyncIterator[SqlStore]:
    """A store on a server, its tables brought up to date before."""
    store = SqlStore(readers, engine, flavour)
    try:
        await _prepared(server, engine, flavour, prepare)
        yield store
    finally:
        await store.close()


async def _prepared(
    server: Server, engine: AsyncEngine, flavour: Flavour, prepare: Callable[[sa.Connection], None]
) -> None:
    clock = asyncio.get_running_loop().time
    give_up = clock() + START_SECONDS
    known: tuple[type[Exception], ...] = (DBAPIError, *flavour.failures)
    while True:
        try:
            async with engine.connect() as connection:
                await connection.run_sync(prepare)
                version = await connection.run_sync(schema.version)
                kind = _kind(connection.dialect)
        except known as error:
            if refusal := flavour.refusal(error):
                raise StoreRefused(url=server.shown, reason=refusal) from error
            if not flavour.is_gone(error):
                raise
            if clock() > give_up:
                raise StoreUnreachable from error
            log.warning("waiting for the database", url=server.shown)
            await asyncio.sleep(START_PAUSE_SECONDS)
        else:
            log.info("store opened", store=kind, url=server.shown, schema=version)
            return
