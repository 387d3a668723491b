"""Tells what is in a table: from its first bytes, or from the whole stored dataset."""

import asyncio
import hashlib

from servicekit.errors import InvalidInput
from services.training.domain.bench import SideBench
from services.training.domain.inspection import Inspection
from services.training.domain.messages import InspectTask
from services.training.domain.model import DatasetSource
from services.training.domain.ports import InspectionCache
from services.training.domain.sniffing import SniffedTable, sniff

HEAD_BYTES = 1024 * 1024
SAMPLE_ROWS = 1000


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

    async def sniff(self, head: bytes, complete: bool) -> SniffedTable:
        """How to read a table that starts with these bytes; raises an InvalidInput when it is none."""
        if len(head) > HEAD_BYTES:
            raise HeadTooLong(limit=HEAD_BYTES)
        return await asyncio.to_thread(sniff, head, complete)

    async def inspect(self, source: DatasetSource, sample_size: int) -> Inspection:
        """Schema and first rows of a stored dataset; raises what its reader raises, and an InvalidInput for no table.

        What was found for a dataset of known checksum is remembered: those bytes never change.
        """
        if not 0 <= sample_size <= SAMPLE_ROWS:
            raise BadSampleSize(limit=SAMPLE_ROWS)
        name = _cache_name(source, sample_size)
        if source.sha256 and (known := await self._cache.get(name)):
            return known
        found = await self._bench.work(InspectTask(source.format, sample_size), source, "inspect_")
        if source.sha256:
            await self._cache.put(name, found)
        return found


def _cache_name(source: DatasetSource, sample_size: int) -> str:
    facts = f"{source.sha256.lower()} {source.format} {sample_size}"
    return hashlib.sha256(facts.encode()).hexdigest()
