"""The versions of models, whose numbers go up by one."""

from dataclasses import replace

from typing_extensions import override

from services.metadata.domain.entities import Model, ModelVersion
from services.metadata.domain.errors import FieldMissing, RecordNotFound, ReferenceMissing
from services.metadata.domain.paging import Page, PageRequest
from services.metadata.domain.ports import Query, Store, Transaction
from services.metadata.domain.records import Also, Clock, Records, get_from, new_record, save, utc_now


class Versions(Records[ModelVersion]):
    """The versions of all models."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(ModelVersion, store, now)

    @override
    async def create(self, given: ModelVersion, request_id: str, also: Also | None = None) -> ModelVersion:
        """Add a version to its model, under the next number."""
        if not given.model_id:
            raise FieldMissing("model_id")
        fresh = new_record(given, request_id, self._now())

        async def unit(transaction: Transaction) -> ModelVersion:
            model = await transaction.get(Model, fresh.model_id)
            if model is None:
                raise ReferenceMissing(field="model_id", label="model", id=fresh.model_id)
            version = replace(fresh, version=model.latest_version + 1)
            await transaction.insert(version)
            await save(transaction, model, replace(model, latest_version=version.version), self._now())
            if also:
                await also(transaction)
            return version

        return await self._create(fresh, unit)

    async def find(self, version_id: str, model_id: str, number: int) -> ModelVersion:
        """A version by its id, or by its model and number, the newest when that is 0."""
        if version_id:
            return await self.get(version_id)
        await get_from(self._store, Model, model_id)
        where = {"model_id": model_id, "version": number} if number else {"model_id": model_id}
        found = await self._store.find(ModelVersion, Query(where))
        if not found:
            raise RecordNotFound(label=f"version of the model {model_id} with number", id=number)
        return found[0]

    @override
    async def page(self, request: PageRequest) -> Page[ModelVersion]:
        """One page of a model's versions, newest first."""
        await get_from(self._store, Model, request.where.get("model_id", ""))
        return await super().page(request)
