"""Uploads that go straight to Azure. The bytes wait in a container of their own until they are committed.

A ticket's holder may create one blob there and do nothing else: neither replace what was sent, nor reach the object
that is made of it, nor make up metadata that would count. On commit Azure itself copies the bytes to their place.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobProperties, BlobType
from azure.storage.blob.aio import BlobClient

from servicekit.errors import Problem
from servicekit.logging import get_logger
from services.storage.adapters.azure import names
from services.storage.adapters.azure.errors import Place, code_of
from services.storage.adapters.azure.pending import Line, PendingBlocks
from services.storage.adapters.azure.publishing import publish
from services.storage.adapters.azure.reading import Source
from services.storage.adapters.azure.service import BlobService
from services.storage.adapters.azure.signing import CREATE, READ, Addresses
from services.storage.domain.errors import BucketMissing, ObjectExists, ObjectNotFound, SizeMismatch
from services.storage.domain.model import Batch, Draft, Span, StoredObject, Ticket

log = get_logger()

CANNOT_COPY = "CannotVerifyCopySource"

COPY_BYTES = 64 * 1024 * 1024
COPIES_AT_ONCE = 4
COPY_SECONDS = 3600
ABANDONED = timedelta(days=8)
"""A ticket works for 7 days at most; what has waited for longer nobody comes back for."""


class AzureTickets:
    """Direct uploads to one account."""

    longest = timedelta(days=7)

    def __init__(self, service: BlobService, addresses: Addresses) -> None:
        self._service = service
        self._addresses = addresses
        self._container = service.account.incoming
        self._swept = datetime.min.replace(tzinfo=UTC)

    async def ticket(self, draft: Draft, expires: datetime) -> Ticket:
        """An address to which a client puts all bytes in one request, 5,000 MiB at most."""
        names.blob_of(draft.name.key)
        with suppress(ObjectNotFound):
            await self._service.described(draft.name)
            raise ObjectExists(key=draft.name.key, placement=draft.name.placement)
        await self._service.in_container(self._container, self._sweep)
        blob = names.sent_blob(draft.name, draft.request_id)
        uri = await self._addresses.of(self._container, blob, CREATE, expires)
        return Ticket("PUT", uri, headers={"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"})

    @asynccontextmanager
    async def sent(self, draft: Draft) -> AsyncIterator["SentBlob"]:
        """What came for a draft; it is removed at the end of the block, committed or not."""
        waiting = self._service.client.get_blob_client(self._container, names.sent_blob(draft.name, draft.request_id))
        place = Place(self._service.name, self._container, draft.name)
        found = await self._found(waiting, place)
        try:
            if found.blob_type is not BlobType.BLOCKBLOB:  # empty pages would be read for ever
                raise ObjectNotFound(**place.object)
            source = Source(self._service, place, waiting, found.etag)
            yield SentBlob(self._service, self._addresses, draft, source, found.size)
        finally:
            await asyncio.shield(self._remove(waiting, found.etag))

    async def _found(self, waiting: BlobClient, place: Place) -> BlobProperties:
        try:
            async with self._service.calling(place):
                return await waiting.get_blob_properties()
        except BucketMissing:  # it is made for the first ticket
            raise ObjectNotFound(**place.object) from None

    async def _remove(self, waiting: BlobClient, etag: str) -> None:
        place = Place(self._service.name, self._container)
        try:
            async with self._service.calling(place):
                await waiting.delete_blob("include", etag=etag, match_condition=MatchConditions.IfNotModified)
        except Problem as problem:  # the sweep takes it, or somebody else has
            log.info("what was sent is still there", backend=self._service.name, reason=problem.reason)

    async def _sweep(self) -> None:
        """Now and then, remove what nobody came back for. Fails with BucketMissing."""
        now = datetime.now(UTC)
        if now - self._swept < timedelta(hours=1):
            return
        container = self._service.client.get_container_client(self._container)
        async with self._service.calling(Place(self._service.name, self._container)):
            pages = container.list_blobs(results_per_page=100).by_page()
            blobs = [blob async for blob in await anext(pages)]
        for blob in blobs:
            if now - blob.last_modified > ABANDONED:
                await self._remove(container.get_blob_client(blob.name), blob.etag)
        self._swept = now


class CopyRefused(Exception):
    """Azure does not copy from one of its blobs to another."""


class SentBlob:
    """Bytes that wait, in the version that was found."""

    def __init__(self, service: BlobService, addresses: Addresses, draft: Draft, source: Source, size: int) -> None:
        self._service = service
        self._addresses = addresses
        self._draft = draft
        self._source = source
        self._size = size

    def batches(self) -> AsyncGenerator[Batch, None]:
        """All bytes that came."""
        return self._source.batches(Span(0, self._size))

    async def commit(self, size: int, sha256: str) -> StoredObject:
        """Have Azure copy the bytes that were read, and publish them."""
        if size != self._size:
            raise SizeMismatch(told=size, received=self._size)
        try:
            ids = await self._copied()
        except CopyRefused:
            return await self._carried(size, sha256)
        return await publish(self._service, self._service.stored(self._draft, size, sha256, datetime.now(UTC)), ids)

    async def _copied(self) -> list[str]:
        upload, starts = names.upload_id(), range(0, self._size, COPY_BYTES)
        ids = [names.block_id(upload, number) for number in range(len(starts))]
        address = await self._addresses.of(
            self._source.blob.container_name,
            self._source.blob.blob_name,
            READ,
            datetime.now(UTC) + timedelta(seconds=COPY_SECONDS),
        )
        line = Line()
        try:
            for block_id, start in zip(ids, starts, strict=True):
                await line.add(self._copy(block_id, address, start), COPIES_AT_ONCE)
            await line.settle()
        finally:
            await line.stop()
        return ids

    async def _carried(self, size: int, sha256: str) -> StoredObject:
        """Where Azure may not read its own blob, as behind some firewalls: take the bytes there ourselves."""
        pending = PendingBlocks(self._service, self._draft)
        try:
            async with aclosing(self.batches()) as batches:
                async for batch in batches:
                    await pending.write(batch)
            return await pending.commit(size, sha256)
        finally:
            await pending.close()

    async def _copy(self, block_id: str, address: str, start: int) -> None:
        name, blob = self._draft.name, self._service.blob(self._draft.name)
        count = min(COPY_BYTES, self._size - start)

        async def copy() -> None:
            async with self._service.calling(self._service.place(name)):
                same = {"x-ms-source-if-match": self._source.etag}
                try:
                    await blob.stage_block_from_url(block_id, address, start, count, headers=same)
                except HttpResponseError as error:
                    if code_of(error) == CANNOT_COPY:
                        raise CopyRefused from None
                    raise

        await self._service.in_container(blob.container_name, copy)
