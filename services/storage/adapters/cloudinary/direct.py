"""Takes bytes from clients directly, by a signed form.

They wait as an asset of their own below INCOMING, without our labels and so no object. To commit, the labels are
written first and the asset is renamed then: in one step it is an object, whole and described, or not at all.
"""

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cloudinary import uploader, utils

from services.storage.adapters.cloudinary import records
from services.storage.adapters.cloudinary.account import INCOMING
from services.storage.adapters.cloudinary.assets import destroy, find, look_up
from services.storage.adapters.cloudinary.client import Client, repeats
from services.storage.adapters.cloudinary.errors import Absent, Taken
from services.storage.adapters.cloudinary.listing import kinds, pages
from services.storage.adapters.cloudinary.names import AssetName, asset_name, incoming_name
from services.storage.adapters.cloudinary.reading import AssetBytes
from services.storage.adapters.cloudinary.records import Asset, Facts
from services.storage.domain.errors import ChecksumMismatch, ObjectExists, ObjectNotFound
from services.storage.domain.model import Batch, Draft, Span, StoredObject, Ticket

LONGEST_TICKET = 3600
"""Seconds after its timestamp that Cloudinary takes a signature."""
ABANDONED = timedelta(days=8)
"""What has waited for longer than any ticket works, nobody comes back for."""
SWEEP_EVERY = timedelta(hours=1)


class CloudinaryDirect:
    """Tickets of one account."""

    longest = timedelta(seconds=LONGEST_TICKET)

    def __init__(self, client: Client) -> None:
        self._client = client
        self._swept = datetime.min.replace(tzinfo=UTC)

    async def ticket(self, draft: Draft, expires: datetime) -> Ticket:
        """A form to fill in with the file; it works until then, and for an hour at most. Fails with ObjectExists."""
        with suppress(ObjectNotFound):
            await find(self._client, draft.name)
            raise _exists(draft)
        await self._sweep()
        account, name = self._client.account, incoming_name(draft)
        params = {
            # An earlier time makes the signature stale at the very moment.
            "timestamp": min(int(time.time()), int(expires.timestamp()) - LONGEST_TICKET),
            "public_id": name.public_id,
            "type": name.type,
            "overwrite": False,
        }
        signed = utils.sign_request(params, account.options)
        fields = {field: str(value) for field, value in signed.items()}
        address = utils.cloudinary_api_url("upload", resource_type=name.resource_type, **account.options)
        return Ticket("POST", address, fields=fields)

    @asynccontextmanager
    async def sent(self, draft: Draft) -> AsyncIterator["SentAsset"]:
        """What came for a draft. Fails with ObjectNotFound while nothing came."""
        name = incoming_name(draft)
        try:
            asset = await look_up(self._client, name)
        except Absent:
            raise ObjectNotFound(key=draft.name.key, placement=draft.name.placement) from None
        sent = SentAsset(self._client, draft, name, asset)
        try:
            yield sent
        finally:
            await sent.close()

    async def _sweep(self) -> None:
        """Now and then, remove what came by tickets that nobody completed."""
        now = datetime.now(UTC)
        if now - self._swept < SWEEP_EVERY:
            return
        self._swept = now
        for kind in kinds(f"{INCOMING}/"):
            async for assets in pages(self._client, kind):
                for asset in assets:
                    if now - datetime.fromisoformat(asset["created_at"]) > ABANDONED:
                        await destroy(self._client, replace(kind, public_id=asset["public_id"]))


class SentAsset:
    """Bytes that came by ticket."""

    def __init__(self, client: Client, draft: Draft, name: AssetName, asset: Asset) -> None:
        self._client = client
        self._draft = draft
        self._name = name
        self._asset = asset
        self._is_object = False

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """All of them."""
        data = AssetBytes(self._client, self._name, self._asset)
        try:
            async for batch in data.batches(Span(0, self._asset["bytes"])):
                yield batch
        except Absent:
            raise ObjectNotFound(key=self._draft.name.key, placement=self._draft.name.placement) from None

    async def commit(self, size: int, sha256: str) -> StoredObject:
        """Describe them, see that they are those that were read, and give them their name."""
        with suppress(ObjectNotFound):
            await find(self._client, self._draft.name)
            raise _exists(self._draft)
        facts = Facts(size, sha256, datetime.now(UTC), uuid.uuid4().hex)
        described = await self._client.call(
            uploader.explicit,
            self._name.public_id,
            resource_type=self._name.resource_type,
            type=self._name.type,
            **records.labels(self._draft, facts),
        )
        if (described["etag"], described["bytes"]) != (self._asset["etag"], size):
            raise ChecksumMismatch
        asset = await self._renamed(facts)
        self._is_object = True
        return records.described(self._client.account, self._draft, facts, asset)

    async def _renamed(self, facts: Facts) -> Asset:
        name = asset_name(self._client.account, self._draft.name, self._draft.access)
        try:
            async for attempt in repeats():
                with attempt:
                    return await self._client.once(
                        uploader.rename,
                        self._name.public_id,
                        name.public_id,
                        resource_type=name.resource_type,
                        type=self._name.type,
                        to_type=name.type,
                        overwrite=False,
                        invalidate=True,
                    )
        except Taken:
            raise _exists(self._draft) from None
        except Absent:  # it is gone: renamed by the attempt whose answer was lost, or by another commit
            with suppress(Absent):
                asset = await look_up(self._client, name)
                if records.upload_of(asset) == facts.upload:
                    return asset
            raise _exists(self._draft) from None
        raise AssertionError  # the last attempt raises

    async def close(self) -> None:
        """Remove them, unless they are an object now."""
        if not self._is_object:
            await destroy(self._client, self._name)


def _exists(draft: Draft) -> ObjectExists:
    return ObjectExists(key=draft.name.key, placement=draft.name.placement)
