"""Addresses that let whoever holds them do one thing with one blob until a moment: shared access signatures."""

import asyncio
from datetime import UTC, datetime, timedelta

from azure.storage.blob import BlobSasPermissions, UserDelegationKey, generate_blob_sas

from services.storage.adapters.azure import names
from services.storage.adapters.azure.errors import Place
from services.storage.adapters.azure.service import BlobService

KEY_LIFE = timedelta(days=2)
LONGEST_KEY_LIFE = timedelta(days=7)
CLOCK_SKEW = timedelta(minutes=15)

READ = BlobSasPermissions(read=True)
CREATE = BlobSasPermissions(create=True)
"""Write a blob that is not there yet. One that is there can be neither changed nor replaced with it."""


class Addresses:
    """Signs with the account's key or, where a service principal is used, with a key that Azure lends it for days."""

    def __init__(self, service: BlobService) -> None:
        self._service = service
        self._lent: UserDelegationKey | None = None
        self._until = datetime.min.replace(tzinfo=UTC)
        self._lending = asyncio.Lock()

    async def of(
        self, container: str, blob: str, allowed: BlobSasPermissions, expires: datetime, disposition: str | None = None
    ) -> str:
        """An address of a blob."""
        endpoint = self._service.endpoint
        expires = _whole_second(expires)
        lent = None if endpoint.key else await self._key(expires)
        token = await asyncio.to_thread(
            generate_blob_sas,
            endpoint.name,
            container,
            blob,
            account_key=endpoint.key or None,
            user_delegation_key=lent,
            permission=allowed,
            expiry=expires,
            protocol="https" if endpoint.is_https else None,
            content_disposition=disposition,
        )
        return f"{endpoint.url}/{names.path_of(container, blob)}?{token}"

    async def _key(self, expires: datetime) -> UserDelegationKey:
        async with self._lending:
            if self._lent is None or self._until < expires:
                now = datetime.now(UTC)
                until = _whole_second(min(max(expires, now + KEY_LIFE), now + LONGEST_KEY_LIFE))
                async with self._service.calling(Place(self._service.name)):
                    self._lent = await self._service.client.get_user_delegation_key(now - CLOCK_SKEW, until)
                self._until = until
            return self._lent


def _whole_second(moment: datetime) -> datetime:
    """A signature knows seconds only; it works for no less than was promised."""
    return (moment + timedelta(microseconds=999_999)).replace(microsecond=0)
