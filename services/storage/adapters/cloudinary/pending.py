"""An object that is being written to Cloudinary.

Its bytes are gathered in a nameless file first: each part of an upload is signed together with the labels and tells
the size of the whole, and both are known at the end only. What has no name is gone with the process, whatever ends it.
"""

import asyncio
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from servicekit.durability import no_space
from services.storage.adapters.cloudinary import records
from services.storage.adapters.cloudinary.assets import destroy, look_up
from services.storage.adapters.cloudinary.client import Client
from services.storage.adapters.cloudinary.errors import Absent, ScratchFull, Taken
from services.storage.adapters.cloudinary.names import TYPES, asset_name
from services.storage.adapters.cloudinary.records import Asset, Facts
from services.storage.adapters.cloudinary.sending import Sending
from services.storage.domain.errors import BackendUnreachable, ObjectExists, SizeMismatch, StagedFileUnknown
from services.storage.domain.model import CHUNK_BYTES, Batch, Draft, StoredObject

IN_MEMORY_BYTES = CHUNK_BYTES
"""An object up to this size never touches the disk; hundreds may be under way at once."""
EMPTY = b"\n"
"""Stands for an object of no bytes: Cloudinary takes no empty file. The record tells the true size."""
GIVE_UP_SECONDS = 5.0
"""How long the end of a failed upload waits for a call that still runs; after that it is undone behind its back."""


Result = TypeVar("Result")


class PendingUpload:
    """Gathers bytes, then sends them."""

    def __init__(self, client: Client, draft: Draft) -> None:
        self._client = client
        self._draft = draft
        self._name = asset_name(client.account, draft.name, draft.access)
        folder = str(client.account.scratch or tempfile.gettempdir())
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=folder)  # noqa: SIM115 — close() closes it
        self._upload = uuid.uuid4().hex
        self._sending = Sending(client, self._name, self._upload, self._file)
        self._on_disk: asyncio.Future[Any] | None = None
        self._settled = False

    async def write(self, batch: Batch) -> None:
        """Gather the next bytes."""
        await self._in_thread(lambda: self._file.writelines(batch))

    async def staged(self, count: int) -> Batch:  # noqa: ARG002 — the port's signature
        """This backend offered no file."""
        raise StagedFileUnknown

    async def commit(self, size: int, sha256: str) -> StoredObject:
        """Send everything; the last part publishes it, with all that is known of it."""
        if (gathered := self._file.tell()) != size:
            raise SizeMismatch(told=size, received=gathered)
        if size == 0:
            await self.write([EMPTY])
        facts = Facts(size, sha256, datetime.now(UTC), self._upload)
        asset = await self._published(max(size, len(EMPTY)), facts)
        self._settled = True
        return records.described(self._client.account, self._draft, facts, asset)

    async def close(self) -> None:
        """Forget the bytes, and undo what was published but not told to anybody."""
        await asyncio.shield(self._client.later(self._closed()))

    async def _published(self, size: int, facts: Facts) -> Asset:
        try:
            await self._refuse_namesake()
            asset = await self._sending.send(size, records.labels(self._draft, facts))
        except Taken:
            self._settled = True
            raise ObjectExists(key=self._draft.name.key, placement=self._draft.name.placement) from None
        if asset["bytes"] != size:
            await destroy(self._client, self._name)
            raise SizeMismatch(told=size, received=asset["bytes"])
        return asset

    async def _refuse_namesake(self) -> None:
        """What everybody may read, and what not, can be two assets of one name: a key has one of them."""
        for access in TYPES:
            if access != self._draft.access:
                with suppress(Absent):
                    await look_up(self._client, self._name.of_type(access))
                    raise Taken

    async def _closed(self) -> None:
        if self._on_disk is not None:
            await asyncio.wait([self._on_disk])
        if not self._settled:
            undoing = self._client.later(self._sending.undo())
            await asyncio.wait([undoing], timeout=GIVE_UP_SECONDS)
        self._file.close()

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        """Work on the disk, which goes on when its caller is cancelled: close() waits for it."""

        def told() -> Result:
            try:
                return work()
            except OSError as error:
                if no_space(error):
                    raise ScratchFull(backend=self._client.account.name) from error
                why = "the folder in which uploads are gathered cannot be written to"
                raise BackendUnreachable(backend=self._client.account.name, why=why) from error

        self._on_disk = asyncio.ensure_future(asyncio.to_thread(told))
        return await asyncio.shield(self._on_disk)
