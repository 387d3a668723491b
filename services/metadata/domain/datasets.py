"""Datasets: recorded together with their bytes."""

from services.metadata.domain.artifacts import Written, activate
from services.metadata.domain.entities import Dataset
from services.metadata.domain.errors import FieldsDisagree
from services.metadata.domain.ports import Store, Transaction
from services.metadata.domain.records import Clock, Records, utc_now


class Datasets(Records[Dataset]):
    """All datasets."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(Dataset, store, now)

    async def record(self, dataset: Dataset, request_id: str, written: Written | None) -> Dataset:
        """Create a dataset; given where its bytes were written, its artifact becomes active with it."""
        if written is None:
            return await self.create(dataset, request_id)
        if written.id != dataset.artifact_id:
            raise FieldsDisagree("artifact.id", given=written.id, expected=dataset.artifact_id)

        async def also(transaction: Transaction) -> None:
            await activate(transaction, written, self._now())

        return await self.create(dataset, request_id, also)
