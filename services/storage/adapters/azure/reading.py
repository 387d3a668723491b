"""An object that is being read: ranges of it, fetched a few ahead, in order."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from azure.core import MatchConditions
from azure.storage.blob.aio import BlobClient

from servicekit.pacing import each, paced
from services.storage.adapters.azure.errors import Place
from services.storage.adapters.azure.service import BlobService
from services.storage.domain.errors import BackendUnreachable, BucketMissing, ObjectNotFound
from services.storage.domain.model import BATCH_BYTES, CHUNK_BYTES, Batch, Span, StoredObject

AHEAD = 4
"""Ranges that are on their way at the same time."""


@dataclass(frozen=True)
class Source:
    """One version of a blob. Once it is deleted or another is there, reading on fails with ObjectNotFound."""

    service: BlobService
    place: Place
    blob: BlobClient
    etag: str

    async def batches(self, span: Span) -> AsyncGenerator[Batch, None]:
        """The bytes of a span."""
        async with aclosing(paced(each(_ranges(span)), self._fetch, AHEAD)) as ranges:
            async for data in ranges:
                yield [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]

    async def _fetch(self, span: Span) -> bytes:
        try:
            async with self.service.calling(self.place):
                download = await self.blob.download_blob(
                    span.start, span.count, etag=self.etag, match_condition=MatchConditions.IfNotModified
                )
                data = await download.read()
        except BucketMissing:
            raise ObjectNotFound(**self.place.object) from None
        if len(data) != span.count:
            raise BackendUnreachable(backend=self.service.name, why="its answer was cut off")
        return data


@dataclass(frozen=True)
class OpenBlob:
    """An object and the version of its blob."""

    stored: StoredObject
    source: Source
    path: str = ""

    def batches(self, span: Span) -> AsyncGenerator[Batch, None]:
        """The bytes of a span, all of the same version."""
        return self.source.batches(span)


def _ranges(span: Span) -> Iterator[Span]:
    end = span.start + span.count
    for start in range(span.start, end, BATCH_BYTES):
        yield Span(start, min(BATCH_BYTES, end - start))
