"""Sends a gathered file to Cloudinary, in one part or many; the last one publishes it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from cloudinary import api, uploader

from servicekit.errors import Problem
from servicekit.logging import get_logger
from services.storage.adapters.cloudinary import records
from services.storage.adapters.cloudinary.assets import destroy
from services.storage.adapters.cloudinary.client import Answer, Client, passing, repeats
from services.storage.adapters.cloudinary.errors import Absent, Taken
from services.storage.adapters.cloudinary.names import AssetName
from services.storage.adapters.cloudinary.records import Asset
from services.storage.domain.errors import BackendUnreachable

PART_BYTES = 6_000_000
"""Cloudinary takes no parts under 5 MB but the last."""
LIGHT_BYTES = 1_000_000
"""Of parts up to this size any number may be under way."""

Ask = Callable[..., Awaitable[Answer]]

log = get_logger()


class Gathered(Protocol):
    """A file as it is sent."""

    def seek(self, offset: int, /) -> object:
        """Go to an offset."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""


@dataclass(frozen=True)
class Part:
    """Some bytes of a file."""

    start: int
    stop: int
    total: int

    @property
    def is_last(self) -> bool:
        """Whether the asset is there once Cloudinary has this."""
        return self.stop == self.total

    def headers(self, upload: str) -> dict[str, str]:
        """What tells where the part belongs; nothing when it is all there is."""
        if self.start == 0 and self.is_last:
            return {}
        return {"X-Unique-Upload-Id": upload, "Content-Range": f"bytes {self.start}-{self.stop - 1}/{self.total}"}


def parts_of(size: int) -> list[Part]:
    """All parts of a file, in order."""
    return [Part(start, min(start + PART_BYTES, size), size) for start in range(0, size, PART_BYTES)]


class Sending:
    """One upload, which is told from all others by an id of its own in the asset's labels."""

    def __init__(self, client: Client, name: AssetName, upload: str, file: Gathered) -> None:
        self._client = client
        self._name = name
        self._upload = upload
        self._file = file
        self._reading = threading.Lock()
        self._publishing: list[asyncio.Future[Answer]] = []

    async def send(self, size: int, labels: dict[str, Any]) -> Asset:
        """Send all parts. Fails with Taken when the name is another asset's, which then stays as it was."""
        options = labels | {
            "public_id": self._name.public_id,
            "asset_folder": self._name.public_id.rpartition("/")[0],
            "resource_type": self._name.resource_type,
            "type": self._name.type,
            "overwrite": False,
            "timeout": self._client.account.part_timeouts,
        }
        *parts, last = parts_of(size)
        for part in parts:
            async for attempt in repeats():
                with attempt:
                    answer = await self._sent(part, options)
            if answer.get("existing"):
                raise Taken
        return await self._published(last, options)

    async def _published(self, part: Part, options: dict[str, Any]) -> Asset:
        tries, asset = 0, None
        try:
            async for attempt in repeats():
                with attempt:
                    tries += 1
                    # Before a repeat: perhaps only the answer was lost.
                    asset = await self._landed(self._client.once) if tries > 1 else None
                    asset = asset or await self._sent(part, options)
        except BackendUnreachable as error:
            asset = await self._landed_after_all() if passing(error) else None
            if asset is None:
                raise
        if asset and asset.get("existing"):
            asset = await self._landed(self._client.once) if tries > 1 else None
        if asset is None:
            raise Taken
        return asset

    async def _sent(self, part: Part, options: dict[str, Any]) -> Answer:
        if part.stop - part.start <= LIGHT_BYTES:
            return await self._answer(part, options)
        async with self._client.heavy:
            return await self._answer(part, options)

    async def _answer(self, part: Part, options: dict[str, Any]) -> Answer:
        headers = part.headers(self._upload)
        running = self._client.start(self._send, part, http_headers=headers, **options)
        if part.is_last:
            self._publishing.append(running)
        return await self._client.within(2 * self._client.account.part_timeout, asyncio.shield(running))

    def _send(self, part: Part, **options: Any) -> Any:
        with self._reading:
            self._file.seek(part.start)
            data = self._file.read(part.stop - part.start)
        return uploader.upload_large_part(("file", data), **options)

    async def _landed(self, ask: Ask) -> Asset | None:
        """The asset, when it is this upload that made it."""
        name = self._name
        try:
            asset = await ask(api.resource, name.public_id, resource_type=name.resource_type, type=name.type)
        except Absent:
            return None
        return asset if records.upload_of(asset) == self._upload else None

    async def _landed_after_all(self) -> Asset | None:
        try:
            return await self._landed(self._client.once)
        except Problem:  # what went wrong before is the better answer
            return None

    async def undo(self) -> None:
        """Take away what was published and is told to nobody; waits for the calls that may still publish it."""
        if not self._publishing:
            return
        await asyncio.wait(self._publishing)
        if not any(map(_may_have_published, self._publishing)):
            return
        try:
            if await self._landed(self._client.call):
                await destroy(self._client, self._name)
        except Problem as problem:
            log.warning("an upload that failed may be visible", asset=self._name.public_id, reason=problem.message)


def _may_have_published(call: asyncio.Future[Answer]) -> bool:
    if error := call.exception():
        return isinstance(error, BackendUnreachable) and passing(error)
    return not call.result().get("existing")
