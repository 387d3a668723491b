"""Tokens that only this service can make, and addresses that carry them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from services.storage.domain import errors
from services.storage.domain.model import ObjectName, SignedAddress
from services.storage.domain.shelves import Shelves

SHORTEST_TTL = timedelta(seconds=1)
LONGEST_TTL = timedelta(days=7)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


class Seal:
    """Makes tokens for one purpose, and reads them. A token is its payload and a keyed hash of it."""

    def __init__(self, purpose: str, key: bytes, default_ttl: timedelta, now: Callable[[], datetime] = utc_now) -> None:
        self._purpose = purpose.encode()
        self._key = key
        self._default_ttl = default_ttl
        self._now = now

    def expiry(self, ttl: timedelta | None) -> datetime:
        """When what is sealed now for a time, or for the default one, expires. Fails with InvalidTtl."""
        ttl = self._default_ttl if ttl is None else ttl
        if not SHORTEST_TTL <= ttl <= LONGEST_TTL:
            raise errors.InvalidTtl
        return self._now() + ttl

    def token(self, content: Any, expires: datetime) -> str:
        """A token that holds something JSON can say, until a moment."""
        packed = json.dumps([content, (expires - _EPOCH) // _MICROSECOND], separators=(",", ":"))
        payload = _plain(packed.encode()).decode()
        return f"{payload}.{self._mark(payload).decode()}"

    def content(self, token: str) -> Any:
        """What a token holds. Fails with TokenForged or TokenExpired."""
        payload, _, mark = token.partition(".")
        # Compared as bytes, and before anything in the payload is read.
        if not hmac.compare_digest(mark.encode(), self._mark(payload)):
            raise errors.TokenForged
        content, expires = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if self._now() >= _EPOCH + expires * _MICROSECOND:
            raise errors.TokenExpired
        return content

    def _mark(self, payload: str) -> bytes:
        return _plain(hmac.digest(self._key, self._purpose + b":" + payload.encode(), hashlib.sha256))


class Signer:
    """Makes addresses from which one object can be downloaded until a moment, by whoever holds them."""

    def __init__(self, shelves: Shelves, seal: Seal) -> None:
        self._shelves = shelves
        self._seal = seal

    async def sign(self, name: ObjectName, ttl: timedelta | None) -> SignedAddress:
        """An address of an object that exists: its backend's own, or one that the gateway serves."""
        expires = self._seal.expiry(ttl)
        shelf = self._shelves.of(name.placement)
        stored = (await shelf.find(name)).stored
        if address := await shelf.backend(stored.backend).sign(stored, expires):
            return SignedAddress(address, expires)
        token = self._seal.token([name.placement, name.key], expires)
        return SignedAddress(f"/files/{token}/{quote(stored.draft.file_name, safe='')}", expires)

    def name_in(self, token: str) -> ObjectName:
        """The object a token is for. Fails with TokenForged or TokenExpired."""
        placement, key = self._seal.content(token)
        return ObjectName(placement, key)


def _plain(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
