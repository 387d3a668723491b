"""Stands in for a backend that is wanted but not configured: everything it is asked fails, and says what is missing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from services.storage.domain.errors import BackendNotConfigured
from services.storage.domain.model import Draft, ObjectName, StoredObject
from services.storage.domain.ports import OpenObject, PendingObject


class MissingBackend:
    """Fails every call with BackendNotConfigured."""

    direct = None

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why

    @asynccontextmanager
    async def create(self, draft: Draft) -> AsyncIterator[PendingObject]:
        """Nothing is kept here."""
        raise self._missing(draft)
        yield

    @asynccontextmanager
    async def open(self, name: ObjectName) -> AsyncIterator[OpenObject]:
        """Nothing is kept here."""
        raise self._missing(name)
        yield

    async def stage(self) -> str:
        """Nothing is kept here."""
        raise self._missing()

    async def stat(self, name: ObjectName) -> StoredObject:
        """Nothing is known here."""
        raise self._missing(name)

    async def page(self, placement: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
        """Nothing is known here."""
        raise self._missing(placement, prefix, after, limit)

    async def delete(self, name: ObjectName) -> int:
        """Nothing is kept here."""
        raise self._missing(name)

    async def sign(self, stored: StoredObject, expires: datetime) -> str:
        """Nothing is kept here."""
        raise self._missing(stored, expires)

    async def probe(self) -> None:
        """It is not well before it is configured."""
        raise self._missing()

    def _missing(self, *_: object) -> BackendNotConfigured:
        return BackendNotConfigured(backend=self.name, why=self.why)
