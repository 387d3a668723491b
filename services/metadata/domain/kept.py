"""Records of something that is kept as an object: recorded together with their bytes."""

from typing import TypeVar

from services.metadata.domain.artifacts import Written, activate
from services.metadata.domain.entities import Dataset, Postback, Story
from services.metadata.domain.errors import FieldsDisagree
from services.metadata.domain.ports import Transaction
from services.metadata.domain.records import Records

K = TypeVar("K", Dataset, Postback, Story)


class Kept(Records[K]):
    """Records that own the artifact of their bytes."""

    async def record(self, given: K, request_id: str, written: Written | None) -> K:
        """Create a record; given where its bytes were written, its artifact becomes active with it."""
        if written is None:
            return await self.create(given, request_id)
        if written.id != given.artifact_id:
            raise FieldsDisagree("artifact.id", given=written.id, expected=given.artifact_id)

        async def also(transaction: Transaction) -> None:
            await activate(transaction, written, self._now())

        return await self.create(given, request_id, also)
