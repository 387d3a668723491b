"""Finds assets, and takes them away."""

from dataclasses import dataclass

from cloudinary import api, uploader

from services.storage.adapters.cloudinary import records
from services.storage.adapters.cloudinary.client import Client, repeats
from services.storage.adapters.cloudinary.errors import Absent
from services.storage.adapters.cloudinary.names import TYPES, AssetName, asset_name
from services.storage.adapters.cloudinary.records import Asset
from services.storage.domain.errors import ObjectNotFound
from services.storage.domain.model import ObjectName, StoredObject


@dataclass(frozen=True)
class Found:
    """An object, and the asset that it is."""

    stored: StoredObject
    name: AssetName
    asset: Asset


async def find(client: Client, name: ObjectName) -> Found:
    """An object, whoever may read it. Fails with ObjectNotFound."""
    for access in TYPES:
        asset_is = asset_name(client.account, name, access)
        try:
            asset = await look_up(client, asset_is)
        except Absent:
            continue
        if stored := records.decoded(client.account, asset):
            return Found(stored, asset_is, asset)
    raise ObjectNotFound(key=name.key, placement=name.placement)


async def look_up(client: Client, name: AssetName) -> Asset:
    """An asset. Fails with Absent."""
    return await client.call(api.resource, name.public_id, resource_type=name.resource_type, type=name.type)


async def destroy(client: Client, name: AssetName) -> bool:
    """Take an asset away, also out of the delivery network; whether this call did it."""
    tries = 0
    async for attempt in repeats():
        with attempt:
            tries += 1
            answer = await client.once(
                uploader.destroy, name.public_id, resource_type=name.resource_type, type=name.type, invalidate=True
            )
    # After an attempt whose answer was lost, "not found" most likely means that it was that attempt.
    return bool(answer["result"] == "ok" or tries > 1)
