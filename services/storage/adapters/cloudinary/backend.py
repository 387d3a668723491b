"""Objects at Cloudinary: the port's methods."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from cloudinary import api, uploader

from services.storage.adapters.cloudinary import listing
from services.storage.adapters.cloudinary.account import INCOMING, CloudinaryAccount
from services.storage.adapters.cloudinary.addresses import download_address
from services.storage.adapters.cloudinary.assets import destroy, find
from services.storage.adapters.cloudinary.client import Client, prepare_sdk
from services.storage.adapters.cloudinary.direct import CloudinaryDirect
from services.storage.adapters.cloudinary.errors import Absent
from services.storage.adapters.cloudinary.names import asset_name
from services.storage.adapters.cloudinary.pending import EMPTY, PendingUpload
from services.storage.adapters.cloudinary.reading import AssetBytes, OpenAsset
from services.storage.adapters.cloudinary.usage import AccountUsage, usage_of
from services.storage.domain.errors import NoFiles, ObjectDamaged, ObjectNotFound
from services.storage.domain.model import Draft, ObjectName, StoredObject

__all__ = ["CloudinaryAccount", "CloudinaryBackend", "cloudinary_backend"]


class CloudinaryBackend:
    """Keeps objects as raw files and images."""

    def __init__(self, client: Client) -> None:
        self.name = client.account.name
        self._client = client
        self.direct = CloudinaryDirect(client)

    @asynccontextmanager
    async def create(self, draft: Draft) -> AsyncIterator[PendingUpload]:
        """Begin an object; its bytes are gathered here and sent at the end."""
        pending = PendingUpload(self._client, draft)
        try:
            yield pending
        finally:
            await pending.close()

    async def stage(self) -> str:
        """Nobody else could read a file of ours."""
        raise NoFiles(backend=self.name)

    @asynccontextmanager
    async def open(self, name: ObjectName) -> AsyncIterator[OpenAsset]:
        """Begin to read an object, in the version it has now."""
        found = await find(self._client, name)
        if found.asset["bytes"] != max(found.stored.size, len(EMPTY)):
            raise ObjectDamaged(key=name.key, placement=name.placement)
        yield OpenAsset(found.stored, AssetBytes(self._client, found.name, found.asset))

    async def stat(self, name: ObjectName) -> StoredObject:
        """Describe an object."""
        return (await find(self._client, name)).stored

    async def page(self, placement: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
        """List objects."""
        return await listing.page(self._client, placement, prefix, after, limit)

    async def delete(self, name: ObjectName) -> int:
        """Delete an object, also from the caches of the delivery network."""
        found = await find(self._client, name)
        if not await destroy(self._client, found.name):
            raise ObjectNotFound(key=name.key, placement=name.placement)
        return found.stored.size

    async def sign(self, stored: StoredObject, expires: datetime) -> str:
        """A private download; none for an empty object, which Cloudinary does not have."""
        if not stored.size:
            return ""
        name = asset_name(self._client.account, stored.name, stored.draft.access)
        extension = stored.uri.rpartition(".")[2]
        return download_address(self._client.account, name, extension, stored.draft.file_name, expires)

    async def probe(self) -> None:
        """See that a signed call is taken.

        It deletes what nobody can have made. The ping of the admin API would not do: with 500 calls of that an hour,
        as the free plan has them, looking after the service's health would use up all.
        """
        try:
            await self._client.once(uploader.destroy, f"{INCOMING}/probe", resource_type="raw", type="authenticated")
        except Absent:
            return

    async def account_usage(self) -> AccountUsage:
        """What the account has used of its plan."""
        return usage_of(await self._client.call(api.usage))


@asynccontextmanager
async def cloudinary_backend(account: CloudinaryAccount) -> AsyncIterator[CloudinaryBackend]:
    """The backend of an account, for the length of the block. It opens though Cloudinary cannot be reached."""
    prepare_sdk()
    client = Client(account)
    try:
        yield CloudinaryBackend(client)
    finally:
        await client.close()
