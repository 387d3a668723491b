"""Tells what is in a dataset: from its first bytes, or from the whole of it."""

import asyncio
import hashlib

from servicekit.errors import InvalidInput
from services.training.domain.bench import SideBench
from services.training.domain.inspection import Inspection
from services.training.domain.messages import InspectTask
from services.training.domain.model import DatasetSource
from services.training.domain.ports import InspectionCache
from services.training.domain.sniffing import SniffedTable, is_archive, sniff

HEAD_BYTES = 1024 * 1024
SAMPLE_ROWS, SAMPLE_LIMIT = 20, 1000
# Of what is remembered; another number forgets what was found by another way of looking.
EDITION = 3


class HeadTooLong(InvalidInput):
    """The head is longer than {limit} bytes. Send the first bytes only, and leave `complete` unset."""

    field = "head"


class BadSampleSize(InvalidInput):
    """The sample_size is not from 0 to {limit}. Ask for fewer rows."""

    field = "sample_size"


class Analysis:
    """Looks at tables."""

    def __init__(self, bench: SideBench, cache: InspectionCache) -> None:
        self._bench = bench
        self._cache = cache

    async def sniff(self, head: bytes, complete: bool) -> SniffedTable | None:
        """How to read a table that starts with these bytes, None for an archive; raises an InvalidInput for others."""
        if len(head) > HEAD_BYTES:
            raise HeadTooLong(limit=HEAD_BYTES)
        if is_archive(head):
            return None
        return await asyncio.to_thread(sniff, head, complete)

    async def inspect(self, source: DatasetSource, sample_size: int | None = None) -> Inspection:
        """Schema, statistics and first rows (20 when not said) of a stored dataset.

        Raises what its reader raises, an InvalidInput for no table, and QueueFull.

        What was found for a dataset of known checksum is remembered: those bytes never change.
        """
        size = SAMPLE_ROWS if sample_size is None else sample_size
        if not 0 <= size <= SAMPLE_LIMIT:
            raise BadSampleSize(limit=SAMPLE_LIMIT)
        name = _cache_name(source, size)
        if source.sha256 and (known := await self._cache.get(name)):
            return known
        found = await self._bench.work(InspectTask(source.format, size), source, "inspect_")
        if source.sha256:
            await self._cache.put(name, found)
        return found


def _cache_name(source: DatasetSource, sample_size: int) -> str:
    facts = f"{EDITION} {source.sha256.lower()} {source.format} {sample_size}"
    return hashlib.sha256(facts.encode()).hexdigest()
