"""Where a registry is: a metadata service that runs, or a database that is served within this process."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from modelyard import embedded
from modelyard.errors import ModelyardError
from modelyard.registry.problems import RegistryError, invalid
from modelyard.settings import client_settings

GRPC = "grpc://"
UNIX = "unix:"
DATABASES = ("sqlite", "postgresql", "postgres", "mysql", "mariadb", "mongodb")
SQLITE = "sqlite:///"
HELP = (
    "Give the address of a metadata service, grpc://host:port or unix:/path, or that of a database, like "
    "sqlite:///ai_models.db or postgresql://user:password@host/database."
)


@dataclass(frozen=True)
class Target:
    """What a registry opens."""

    shown: str
    """Its address without a password."""
    address: str = ""
    """Where a metadata service runs; empty for a database."""
    url: str = field(default="", repr=False)
    """Address of a database."""
    token: str = field(default="", repr=False)
    """By which a metadata service knows its callers."""
    pool: Mapping[str, Any] = field(default_factory=dict)
    """How connections to a database server are kept: pool_size, max_overflow, pool_pre_ping."""
    echo: bool = False
    """Whether every SQL statement is written to standard error."""


@dataclass(frozen=True)
class Opened:
    """Where a metadata service answers, and how to close what was opened for that."""

    address: str
    close: Callable[[], None] = lambda: None


def target_of(
    address: str, token: str | None = None, pool: Mapping[str, Any] | None = None, echo: bool = False
) -> Target:
    """What an address means. The token is MODELYARD_SERVICE_TOKEN when it is not given."""
    if address.startswith((GRPC, UNIX)):
        known = client_settings().service_token.get_secret_value() if token is None else token
        return Target(address, _wire(address), token=known)
    scheme = address.partition("://")[0].partition("+")[0].lower()
    if scheme not in DATABASES or "://" not in address:
        raise invalid(f"{shown(address)} is no address of a registry. {HELP}")
    return Target(shown(address), url=address, pool=dict(pool or {}), echo=echo)


def _wire(address: str) -> str:
    return address if address.startswith(UNIX) else f"dns:///{address.removeprefix(GRPC).rstrip('/')}"


def shown(address: str) -> str:
    """An address without the password in it, and without options, which may hold others."""
    scheme, separator, rest = address.partition("://")
    place = rest.rpartition("@")
    user = f"{place[0].partition(':')[0]}:***@" if ":" in place[0] else f"{place[0]}{place[1]}"
    return f"{scheme}{separator}{user}{place[2].partition('?')[0]}"


def opened(target: Target) -> Opened:
    """Open a target for a program without an event loop."""
    if target.address:
        return Opened(target.address)
    try:
        background = embedded.Background(target.url, target.pool, target.echo)
    except ModelyardError as error:
        raise _told(error) from error
    return Opened(background.address, background.close)


@asynccontextmanager
async def opened_here(target: Target) -> AsyncIterator[str]:
    """The address of a target's service, which runs on this event loop where it is a database."""
    if target.address:
        yield target.address
        return
    try:
        async with embedded.served(target.url, target.pool, target.echo) as address:
            yield address
    except ModelyardError as error:
        if isinstance(error, RegistryError):  # of the block
            raise
        raise _told(error) from error


def _told(error: ModelyardError) -> RegistryError:
    return RegistryError(error.status, error.code, error.message, error.retryable)
