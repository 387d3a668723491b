"""Addresses from which one object can be downloaded until a moment, by whoever holds them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from services.storage.domain import errors
from services.storage.domain.catalog import Catalog
from services.storage.domain.model import ObjectName, SignedAddress

SHORTEST_TTL = timedelta(seconds=1)
LONGEST_TTL = timedelta(days=7)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


class Signer:
    """Makes addresses and reads their tokens. A token is its payload and a keyed hash of it."""

    def __init__(
        self, catalog: Catalog, key: bytes, default_ttl: timedelta, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._catalog = catalog
        self._key = key
        self._default_ttl = default_ttl
        self._now = now

    async def sign(self, name: ObjectName, ttl: timedelta | None) -> SignedAddress:
        """An address of an object that exists, for a time or for the default one."""
        ttl = self._default_ttl if ttl is None else ttl
        if not SHORTEST_TTL <= ttl <= LONGEST_TTL:
            raise errors.InvalidTtl
        stored = await self._catalog.describe(name)
        expires = self._now() + ttl
        token = self._token(name, expires)
        return SignedAddress(f"/files/{token}/{quote(stored.draft.file_name, safe='')}", expires)

    def name_in(self, token: str) -> ObjectName:
        """The object a token is for. Fails with TokenForged or TokenExpired."""
        payload, _, mark = token.partition(".")
        # Compared as bytes, and before anything in the payload is read.
        if not hmac.compare_digest(mark.encode(), self._mark(payload)):
            raise errors.TokenForged
        placement, key, expires = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if self._now() >= _EPOCH + expires * _MICROSECOND:
            raise errors.TokenExpired
        return ObjectName(placement, key)

    def _token(self, name: ObjectName, expires: datetime) -> str:
        packed = json.dumps([name.placement, name.key, (expires - _EPOCH) // _MICROSECOND], separators=(",", ":"))
        payload = _plain(packed.encode()).decode()
        return f"{payload}.{self._mark(payload).decode()}"

    def _mark(self, payload: str) -> bytes:
        return _plain(hmac.digest(self._key, b"download:" + payload.encode(), hashlib.sha256))


def _plain(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
