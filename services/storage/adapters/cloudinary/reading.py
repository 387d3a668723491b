"""Reads assets from the delivery network."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.storage.adapters.cloudinary.addresses import delivery_address
from services.storage.adapters.cloudinary.client import ATTEMPTS, Client, passing, pause
from services.storage.adapters.cloudinary.errors import Absent
from services.storage.adapters.cloudinary.names import AssetName
from services.storage.adapters.cloudinary.records import Asset
from services.storage.domain.errors import BackendBusy, BackendUnreachable, ObjectNotFound
from services.storage.domain.model import BATCH_BYTES, Batch, ObjectName, Span, StoredObject


class AssetBytes:
    """The bytes of one version of an asset."""

    def __init__(self, client: Client, name: AssetName, asset: Asset) -> None:
        self._client = client
        self._size: int = asset["bytes"]
        self._address = delivery_address(client.account, name, asset["version"], asset.get("format", ""), signed=True)

    async def batches(self, span: Span) -> AsyncGenerator[Batch, None]:
        """Some of them. Fails with Absent; where the connection breaks off, it is taken up again, a few times."""
        at, stop, failures = span.start, span.start + span.count, 0
        while at < stop:
            try:
                async with aclosing(self._in_one_go(at, stop)) as batches:
                    async for batch in batches:
                        at += sum(map(len, batch))
                        yield batch
            except (BackendUnreachable, BackendBusy) as error:
                failures += 1
                if failures == ATTEMPTS or not passing(error):
                    raise
                await pause(failures)

    async def _in_one_go(self, start: int, stop: int) -> AsyncGenerator[Batch, None]:
        whole = start == 0 and stop == self._size
        batch: list[bytes] = []
        left = stop - start
        async with self._client.fetched(self._address, start, None if whole else stop) as pieces:
            async for piece in pieces:
                batch.append(piece[:left])
                left -= len(batch[-1])
                if sum(map(len, batch)) >= BATCH_BYTES:
                    yield batch
                    batch = []
        if batch:
            yield batch
        if left:
            raise BackendUnreachable(backend=self._client.account.name, why="the connection to it broke off")


class OpenAsset:
    """An object that is being read."""

    path = ""

    def __init__(self, stored: StoredObject, data: AssetBytes) -> None:
        self.stored = stored
        self._data = data

    async def batches(self, span: Span) -> AsyncGenerator[Batch, None]:
        """Its bytes; an object that is deleted meanwhile ends in ObjectNotFound."""
        async with aclosing(self._data.batches(span)) as batches:
            try:
                async for batch in batches:
                    yield batch
            except Absent:
                raise _gone(self.stored.name) from None


def _gone(name: ObjectName) -> ObjectNotFound:
    return ObjectNotFound(key=name.key, placement=name.placement)
