"""Lists objects in the order of their keys, which Cloudinary does not: it lists by time."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any

from cloudinary import api

from services.storage.adapters.cloudinary import records
from services.storage.adapters.cloudinary.client import Client
from services.storage.adapters.cloudinary.names import TYPES, AssetName, asset_prefix
from services.storage.adapters.cloudinary.records import Asset
from services.storage.domain.model import Access, StoredObject

PAGE = 500
"""Most that Cloudinary gives at once."""
RESOURCE_TYPES = ("raw", "image")


class Smallest:
    """The objects with the smallest keys of all that were seen, and no more of them than wanted."""

    def __init__(self, limit: int, wanted: Callable[[str], bool]) -> None:
        self._limit = limit
        self._wanted = wanted
        self._kept: dict[str, StoredObject] = {}

    def see(self, objects: list[StoredObject]) -> None:
        """Take in some more."""
        for stored in objects:
            key = stored.name.key
            # Were there two assets of one name, the one that is looked for first is the object.
            if self._wanted(key) and (key not in self._kept or stored.draft.access is Access.SIGNED):
                self._kept[key] = stored
        smallest = heapq.nsmallest(self._limit, self._kept, key=str.encode)
        self._kept = {key: self._kept[key] for key in smallest}

    def listed(self) -> list[StoredObject]:
        """Those that are kept, in order."""
        return list(self._kept.values())


async def page(client: Client, placement: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
    """The first objects after a key. All with the prefix are looked at, a page of Cloudinary's at a time."""

    def wanted(key: str) -> bool:
        return key.startswith(prefix) and key.encode() > after.encode()

    smallest = Smallest(limit, wanted)
    ids = asset_prefix(client.account, placement, prefix)

    async def look(name: AssetName) -> None:
        async for assets in pages(client, name):
            found = (records.decoded(client.account, asset) for asset in assets)
            smallest.see([stored for stored in found if stored and stored.name.placement == placement])

    await _all(look(kind) for kind in kinds(ids))
    return smallest.listed()


def kinds(prefix: str) -> list[AssetName]:
    """Whatever an asset whose id starts so may be."""
    return [AssetName(prefix, resource_type, type_) for resource_type in RESOURCE_TYPES for type_ in TYPES.values()]


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do everything at once; the first failure stops the rest, and is raised as it is."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def pages(client: Client, name: AssetName) -> AsyncIterator[list[Asset]]:
    """All assets of one kind whose ids start so, a page of Cloudinary's at a time."""
    cursor: str | None = None
    while True:
        answer = await client.call(
            api.resources,
            resource_type=name.resource_type,
            type=name.type,
            prefix=name.public_id,
            max_results=PAGE,
            next_cursor=cursor,
            context=True,
            tags=True,
        )
        yield answer["resources"]
        if not (cursor := answer.get("next_cursor")):
            return
