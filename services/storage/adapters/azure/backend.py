"""Objects in Azure Blob Storage: the port's methods."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

from azure.core import MatchConditions

from servicekit.disposition import attachment
from services.storage.adapters.azure import listing, names, records
from services.storage.adapters.azure.account import AzureAccount, client_of, credential_of, endpoint_of
from services.storage.adapters.azure.direct import AzureTickets
from services.storage.adapters.azure.errors import Place
from services.storage.adapters.azure.pending import PendingBlocks
from services.storage.adapters.azure.reading import OpenBlob, Source
from services.storage.adapters.azure.service import BlobService
from services.storage.adapters.azure.signing import READ, Addresses
from services.storage.domain.errors import BucketMissing, NoFiles, ObjectDamaged, ObjectNotFound
from services.storage.domain.model import Draft, ObjectName, StoredObject

__all__ = ["AzureAccount", "AzureBackend", "azure_backend"]

NAME = "azure"

WRITE_PROBE_SECONDS = 300


class AzureBackend:
    """Keeps objects in the containers of one storage account."""

    def __init__(self, service: BlobService) -> None:
        self.name = service.name
        self._service = service
        self._addresses = Addresses(service)
        self.direct = AzureTickets(service, self._addresses)
        self._written: dict[str, float] = {}

    @asynccontextmanager
    async def create(self, draft: Draft) -> AsyncIterator[PendingBlocks]:
        """Begin an object of blocks that nobody sees."""
        pending = PendingBlocks(self._service, draft)
        try:
            yield pending
        finally:
            await pending.close()

    async def stage(self) -> str:
        """Azure keeps no files."""
        raise NoFiles(backend=self.name)

    @asynccontextmanager
    async def open(self, name: ObjectName) -> AsyncIterator[OpenBlob]:
        """Begin to read an object. Once it is deleted, its reader gets ObjectNotFound."""
        stored, etag, size = await self._service.described(name)
        if size != stored.size:
            raise ObjectDamaged(key=name.key, placement=name.placement)
        yield OpenBlob(stored, Source(self._service, self._service.place(name), self._service.blob(name), etag))

    async def stat(self, name: ObjectName) -> StoredObject:
        """Describe an object."""
        return (await self._service.described(name))[0]

    async def page(self, placement: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
        """List objects."""
        return await listing.page(self._service, placement, prefix, after, limit)

    async def delete(self, name: ObjectName) -> int:
        """Delete the very blob that was seen; a damaged one goes as well."""
        if names.wrong_at_azure(name.key):
            raise ObjectNotFound(key=name.key, placement=name.placement)
        blob = self._service.blob(name)
        try:
            async with self._service.calling(self._service.place(name)):
                found = await blob.get_blob_properties()
                if records.MARK not in found.metadata:
                    raise ObjectNotFound(key=name.key, placement=name.placement)
                await blob.delete_blob("include", etag=found.etag, match_condition=MatchConditions.IfNotModified)
        except BucketMissing:
            raise ObjectNotFound(key=name.key, placement=name.placement) from None
        return int(found.size)

    async def sign(self, stored: StoredObject, expires: datetime) -> str:
        """An address at Azure that reads this blob, as a file to be saved."""
        name = stored.name
        file_name = stored.draft.file_name or name.key.rpartition("/")[2]
        disposition = attachment(file_name)
        return await self._addresses.of(stored.bucket, names.blob_of(name.key), READ, expires, disposition)

    async def probe(self) -> None:
        """See that every container that is named is there, and now and then that it can be written to."""
        containers = sorted(set(self._service.account.containers.values()))
        if not containers:
            async with self._service.calling(Place(self.name)):
                await anext(self._service.client.list_containers(results_per_page=1).by_page(), None)
        await asyncio.gather(*map(self._probe, containers))

    async def _probe(self, container: str) -> None:
        write = time.monotonic() > self._written.get(container, 0.0)
        await self._service.in_container(container, lambda: self._seen(container, write))
        if write:
            self._written[container] = time.monotonic() + WRITE_PROBE_SECONDS

    async def _seen(self, container: str, write: bool) -> None:
        async with self._service.calling(Place(self.name, container)):
            if write:  # a block that is never committed, and so never seen
                blob = self._service.client.get_blob_client(container, names.PROBE)
                await blob.stage_block(names.block_id("0" * 32, 0), b"still here", retry_total=0)
            else:
                await self._service.client.get_container_client(container).get_container_properties(retry_total=0)


@asynccontextmanager
async def azure_backend(account: AzureAccount, name: str = NAME) -> AsyncIterator[AzureBackend]:
    """The backend of an account. It opens whether Azure can be reached or not; fails with BackendNotConfigured."""
    endpoint = endpoint_of(account, name)
    async with AsyncExitStack() as stack:
        credential = None if endpoint.key else await stack.enter_async_context(credential_of(account))
        client = await stack.enter_async_context(client_of(account, endpoint, credential))
        yield AzureBackend(BlobService(name, account, endpoint, client))
