"""Models and their versions."""

from services.metadata.domain.entities import Model, ModelVersion
from services.metadata.domain.errors import RecordNotFound
from services.metadata.domain.paging import Page, PageRequest, find_page
from services.metadata.domain.ports import Query, Store
from services.metadata.domain.records import Clock, Records, get_from, utc_now


class Models(Records[Model]):
    """All models."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(Model, store, now)

    async def version(self, version_id: str, model_id: str, number: int) -> ModelVersion:
        """A version by its id, or by its model and number, the newest when that is 0."""
        if version_id:
            return await get_from(self._store, ModelVersion, version_id)
        await self.get(model_id)
        where = {"model_id": model_id, "version": number} if number else {"model_id": model_id}
        found = await self._store.find(ModelVersion, Query(where))
        if not found:
            raise RecordNotFound(label=f"version of the model {model_id} with number", id=number)
        return found[0]

    async def versions(self, model_id: str, size: int, token: str) -> Page[ModelVersion]:
        """One page of a model's versions, newest first."""
        await self.get(model_id)
        return await find_page(self._store, ModelVersion, PageRequest({"model_id": model_id}, size=size, token=token))
