"""Lists objects in the order of their keys, which is almost that of their blobs.

Azure orders by 16-bit units, so that what lies beyond the first plane comes before U+E000 to U+FFFF; and a name that
ends a segment with a dot is written differently (see names). Where such characters are met, we begin a little
earlier and read a little further than the page, and sort.
"""

import re
from bisect import insort
from collections.abc import AsyncIterator

from azure.storage.blob import BlobProperties

from servicekit.logging import get_logger
from services.storage.adapters.azure import names, records
from services.storage.adapters.azure.errors import Place
from services.storage.adapters.azure.service import BlobService
from services.storage.domain import keys
from services.storage.domain.errors import BucketMissing, ObjectDamaged
from services.storage.domain.model import ObjectName, StoredObject

log = get_logger()

LARGEST_PAGE = 5000
"""Azure gives no more at once. We ask for two more than we want: the one we go on from, and the one after."""

# Each ends where two orders part. In Azure's, before a blob there may be later keys, and after it earlier ones.
_LATER_KEYS_BEFORE = re.compile("\\.%*?(?=[%-.]|\\Z)|(?=[\ue000-\uffff])")
_EARLIER_KEYS_AFTER = re.compile("\\.%*?(?=[ -$/])|(?=[\U00010000-\U0010ffff])")


async def page(service: BlobService, placement: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
    """The first objects whose keys start with prefix and come after a key."""
    found: list[StoredObject] = []
    if after > prefix and not after.startswith(prefix):
        return found  # Python compares text as its UTF-8 bytes are compared
    async for blob in _blobs(service, placement, prefix, _start(prefix, after), limit):
        if len(found) == limit and not any(_may_follow(blob.name, stored.name.key) for stored in found):
            break
        stored = _stored(service, placement, blob)
        if stored is not None and stored.name.key.startswith(prefix) and stored.name.key > after:
            insort(found, stored, key=lambda entry: entry.name.key)
            del found[limit:]
    return found


def _start(prefix: str, after: str) -> str | None:
    """The name from which to list; None for the first with the prefix."""
    if after < prefix:
        return None
    if turn := _LATER_KEYS_BEFORE.search(after):
        start = names.start_of(after[: turn.end()])
        return start if start.startswith(names.start_of(prefix)) else None
    return names.blob_of(after) if not names.wrong_at_azure(after) else names.start_of(after)


def _may_follow(blob: str, key: str) -> bool:
    """Whether after a blob there may still come one with a smaller key than this."""
    turn = _EARLIER_KEYS_AFTER.search(key)
    return turn is not None and blob.startswith(names.start_of(key[: turn.end()]))


def _stored(service: BlobService, placement: str, blob: BlobProperties) -> StoredObject | None:
    if records.MARK not in (blob.metadata or {}):
        return None
    if keys.wrong_with_key(key := names.key_of(blob.name)):  # put there by somebody else
        return None
    try:
        return records.decoded(blob.metadata, ObjectName(placement, key), service.stored)
    except ObjectDamaged as damage:  # one must not hide all others
        log.warning("left out of a list", why=damage.message)
        return None


async def _blobs(
    service: BlobService, placement: str, prefix: str, start: str | None, limit: int
) -> AsyncIterator[BlobProperties]:
    pages = (
        service.container(placement)
        .list_blobs(
            names.start_of(prefix),
            include=["metadata"],
            results_per_page=min(limit + 2, LARGEST_PAGE),
            start_from=start,
        )
        .by_page()
    )
    place = Place(service.name, service.container_of(placement))
    while True:
        try:
            async with service.calling(place):
                blobs = [blob async for blob in await anext(pages)]
        except (StopAsyncIteration, BucketMissing):  # a container is made by its first upload
            return
        for blob in blobs:
            yield blob
