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

CHUNK_BYTES = 256 * 1024
PAGES = (b"<!doctype html", b"<html")


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
        async for chunk in chunks:
            if not size and chunk.lstrip()[:20].lower().startswith(PAGES):
                raise PageNotFile
            size += len(chunk)
            if size > self._bounds.limit_bytes:
                raise FileTooLarge(limit=self._bounds.limit_bytes)
            for start in range(0, len(chunk), CHUNK_BYTES):
                yield chunk[start : start + CHUNK_BYTES]
