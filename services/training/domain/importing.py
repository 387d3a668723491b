"""Brings files from elsewhere, within limits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from services.training.domain.elsewhere import (
    Arrival,
    FileTooLarge,
    ImportTooLong,
    KaggleCredentials,
    KaggleWish,
    PageNotFile,
    WebWish,
    plain_name,
)
from services.training.domain.ports import KaggleDatasets, WebFiles
from services.training.domain.slots import Slots
from services.training.domain.sniffing import is_page

CHUNK_BYTES = 256 * 1024
HEAD_BYTES = 1024


@dataclass(frozen=True)
class FetchBounds:
    """The most that is fetched: bytes of a file, seconds that it may take, and how many at once."""

    limit_bytes: int
    seconds: float
    slots: Slots


class Importing:
    """Brings files from Kaggle and the web."""

    def __init__(self, kaggle: KaggleDatasets, web: WebFiles, bounds: FetchBounds) -> None:
        self._kaggle = kaggle
        self._web = web
        self._bounds = bounds

    @asynccontextmanager
    async def fetch(
        self, wish: KaggleWish | WebWish, credentials: KaggleCredentials | None = None
    ) -> AsyncIterator[Arrival]:
        """A file on its way for the block, in chunks of at most 256 KiB; nothing of it is left afterwards.

        Raises FileTooLarge, ImportTooLong, PageNotFile, QueueFull, and what the source of it raises.
        """
        bounds = self._bounds
        try:
            async with asyncio.timeout(bounds.seconds), bounds.slots.turn(), self._open(wish, credentials) as found:
                if found.size > bounds.limit_bytes:
                    raise FileTooLarge(limit=bounds.limit_bytes)
                yield Arrival(plain_name(found.file_name), found.size, self._within(found.chunks))
        except TimeoutError as error:
            raise ImportTooLong(seconds=bounds.seconds) from error

    def _open(
        self, wish: KaggleWish | WebWish, credentials: KaggleCredentials | None
    ) -> AbstractAsyncContextManager[Arrival]:
        match wish:
            case KaggleWish():
                return self._kaggle.open(wish, credentials)
            case WebWish(url):
                return self._web.open(url)

    async def _within(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in _no_page(chunks):
            size += len(chunk)
            if size > self._bounds.limit_bytes:
                raise FileTooLarge(limit=self._bounds.limit_bytes)
            for start in range(0, len(chunk), CHUNK_BYTES):
                yield chunk[start : start + CHUNK_BYTES]


async def _no_page(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What comes; raises PageNotFile for a web page, the beginning of which may come in very small pieces."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    if is_page(head):
        raise PageNotFile
    yield head
    async for chunk in chunks:
        yield chunk
