"""How blocks become an object: one call that writes the list of blocks and all that is known, or nothing."""

from contextlib import suppress

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock

from servicekit.errors import Problem
from services.storage.adapters.azure import records
from services.storage.adapters.azure.service import BlobService
from services.storage.domain.errors import BackendBusy, BackendUnreachable, ObjectExists
from services.storage.domain.model import StoredObject


async def publish(service: BlobService, stored: StoredObject, block_ids: list[str]) -> StoredObject:
    """Make the blocks an object, unless there is one. Fails with ObjectExists, then nothing has changed.

    When the answer got lost, and a repeat met what the first call had written, that is our own object. When somebody
    else's commit swept our blocks away, theirs is the object that exists.
    """
    try:
        await service.in_container(stored.bucket, lambda: _committed(service, stored, block_ids))
    except (ObjectExists, BackendUnreachable, BackendBusy):
        found = await _look(service, stored)
        if found == stored:
            return stored
        if found is not None:
            raise ObjectExists(key=stored.name.key, placement=stored.name.placement) from None
        raise
    return stored


async def _committed(service: BlobService, stored: StoredObject, block_ids: list[str]) -> None:
    draft = stored.draft
    blob, blocks = service.blob(stored.name), [BlobBlock(block_id) for block_id in block_ids]
    async with service.calling(service.place(stored.name)):
        await service.with_tags(
            records.index_tags(draft),
            lambda **tags: blob.commit_block_list(
                blocks,
                records.content_settings(draft),
                records.encoded(stored),
                match_condition=MatchConditions.IfMissing,
                **tags,
            ),
        )


async def _look(service: BlobService, stored: StoredObject) -> StoredObject | None:
    with suppress(Problem):  # the failure that brought us here is the one to tell
        return (await service.described(stored.name))[0]
    return None
