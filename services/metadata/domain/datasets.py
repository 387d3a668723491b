"""Datasets: recorded together with their bytes, or told of where those are kept elsewhere."""

from typing_extensions import override

from services.metadata.domain.entities import REGISTERED, Dataset
from services.metadata.domain.errors import FieldMissing
from services.metadata.domain.kept import Kept
from services.metadata.domain.ports import Store
from services.metadata.domain.records import Also, Clock, utc_now


class Datasets(Kept[Dataset]):
    """All datasets."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(Dataset, store, now)

    @override
    async def create(self, given: Dataset, request_id: str, also: Also | None = None) -> Dataset:
        """Add a dataset; one whose bytes are to be here names their artifact."""
        if given.artifact_id is None and given.source != REGISTERED:
            raise FieldMissing("artifact_id")
        return await super().create(given, request_id, also)
