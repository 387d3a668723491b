"""A storage account as the rest of the adapter sees it: its clients, and one way of calling them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from azure.core.exceptions import HttpResponseError
from azure.storage.blob.aio import BlobClient, BlobServiceClient, ContainerClient

from services.storage.adapters.azure import names, records
from services.storage.adapters.azure.account import AzureAccount, Endpoint
from services.storage.adapters.azure.errors import Place, code_of, told
from services.storage.domain.errors import BucketMissing, ObjectNotFound
from services.storage.domain.model import Draft, ObjectName, StoredObject

Result = TypeVar("Result")

_THERE = {"ContainerAlreadyExists", "ResourceAlreadyExists"}


class BlobService:
    """One account under the name of a backend."""

    def __init__(self, name: str, account: AzureAccount, endpoint: Endpoint, client: BlobServiceClient) -> None:
        self.name = name
        self.account = account
        self.endpoint = endpoint
        self.client = client
        self._takes_tags = True

    def container_of(self, placement: str) -> str:
        """The container of a placement."""
        return names.container_of(placement, self.account.containers, self.name)

    def container(self, placement: str) -> ContainerClient:
        """A client of a placement's container."""
        return self.client.get_container_client(self.container_of(placement))

    def blob(self, name: ObjectName) -> BlobClient:
        """A client of an object's blob. Fails with InvalidKey."""
        return self.client.get_blob_client(self.container_of(name.placement), names.blob_of(name.key))

    def place(self, name: ObjectName) -> Place:
        """What a call about an object is about."""
        return Place(self.name, self.container_of(name.placement), name)

    @asynccontextmanager
    async def calling(self, place: Place) -> AsyncIterator[None]:
        """A call to Azure: its errors become the domain's, and it ends in time."""
        with told(place):
            async with asyncio.timeout(self.account.patience.call):
                yield

    async def described(self, name: ObjectName) -> tuple[StoredObject, str, int]:
        """An object, its etag and the bytes its blob really has. Fails with ObjectNotFound, and ObjectDamaged."""
        missing = ObjectNotFound(placement=name.placement, key=name.key)
        if names.wrong_at_azure(name.key):
            raise missing
        try:
            async with self.calling(self.place(name)):
                found = await self.blob(name).get_blob_properties()
        except BucketMissing:  # it is made by the first upload
            raise missing from None
        if (stored := records.decoded(found.metadata, name, self.stored)) is None:
            raise missing
        return stored, found.etag, found.size

    def stored(self, draft: Draft, size: int, sha256: str, create_time: datetime) -> StoredObject:
        """An object of this account."""
        bucket = self.container_of(draft.name.placement)
        return StoredObject(
            draft=records.kept(draft),
            size=size,
            sha256=sha256,
            create_time=create_time,
            backend=self.name,
            bucket=bucket,
            uri=f"{self.endpoint.url}/{names.path_of(bucket, names.blob_of(draft.name.key))}",
        )

    async def in_container(self, container: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do something that needs a container; where there is none it is made. Fails with BucketMissing."""
        try:
            return await work()
        except BucketMissing:
            await self.make(container)
            return await work()

    async def make(self, container: str) -> None:
        """Make a container, unless another is quicker. Fails with BucketMissing where the credentials may not."""
        async with self.calling(Place(self.name, container)):
            try:
                await self.client.create_container(container)
            except HttpResponseError as error:
                if code_of(error) in _THERE:
                    return
                if error.status_code == 403:
                    why = "the credentials may not make containers"
                    raise BucketMissing(backend=self.name, bucket=container, why=why) from None
                raise

    async def with_tags(self, tags: dict[str, str], write: Callable[..., Awaitable[Any]]) -> None:
        """Write with tags for Azure's index where the account and our role take them, else without.

        Accounts with a hierarchical namespace have no such index, and the role Storage Blob Data Contributor may not
        write to it. Nothing is lost: the metadata holds the tags as well.
        """
        if not tags or not self._takes_tags:
            await write()
            return
        try:
            await write(tags=tags)
        except HttpResponseError as error:
            if error.status_code not in {400, 403} or code_of(error) == "InvalidBlockList":
                raise
            await write()
            self._takes_tags = False
