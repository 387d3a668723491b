"""The versions of models, whose numbers go up by one."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import override

from services.metadata.domain.entities import Artifact, Model, ModelVersion
from services.metadata.domain.errors import FieldMissing, RecordNotFound, ReferenceMissing
from services.metadata.domain.filters import All, Comparison, Either, Kind, Operator, Target, Value
from services.metadata.domain.paging import Page, PageRequest
from services.metadata.domain.ports import Query, Store, Transaction
from services.metadata.domain.records import Also, Clock, Records, get_from, new_record, save, utc_now

KEPT_HERE = Comparison(Target("artifact_id", Kind.TEXT, optional=True), Operator.PRESENT)
OF_MODEL, NUMBER = Target("model_id", Kind.TEXT), Target("version", Kind.NUMBER)
LONG: dict[str, Any] = {"details": None, "config": None, "tags": None}


@dataclass(frozen=True)
class Wanted:
    """Which version of whose model to find."""

    user_id: str = ""
    model_id: str = ""
    name: str = ""
    """The model's name, which counts before its id; may be empty."""
    version: int = 0
    """Its number; when 0, the newest that is ready and whose bytes are kept here."""


@dataclass(frozen=True)
class Resolved:
    """A model, one of its versions if one is ready, and its bytes where they are kept here."""

    model: Model
    version: ModelVersion | None = None
    """Without what is long: to write that takes longer than all the rest."""
    artifact: Artifact | None = None
    package_sha256: str = ""
    """As its training recorded it; empty for what was not packaged here."""


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
            raise _no_version(model_id, number)
        return found[0]

    async def newest(self, model_ids: Sequence[str], details: Collection[str]) -> list[ModelVersion | None]:
        """Each model's newest version, None where it has none: without what is long, but for some of the details."""
        models = await asyncio.gather(*(self._store.get(Model, model_id) for model_id in model_ids))
        numbers = {model.id: model.latest_version for model in models if model and model.latest_version}
        found = {version.model_id: version for version in await self._numbered(numbers)}
        # A number is not given again: where the version of the last one was deleted, another is the newest.
        queries = (Query({"model_id": model_id}) for model_id in numbers.keys() - found.keys())
        for versions in await asyncio.gather(*(self._store.find(ModelVersion, query) for query in queries)):
            found |= {version.model_id: version for version in versions}
        return [shortened(found[model_id], details) if model_id in found else None for model_id in model_ids]

    async def _numbered(self, numbers: Mapping[str, int]) -> list[ModelVersion]:
        """Versions by their models and numbers, at one stroke."""
        if not numbers:
            return []
        these = (All((_is(OF_MODEL, model_id), _is(NUMBER, number))) for model_id, number in numbers.items())
        return await self._store.find(ModelVersion, Query(limit=len(numbers), where_true=Either(tuple(these))))

    async def resolve(self, wanted: Wanted) -> Resolved:
        """A user's model, and which of its versions answers for rows; RecordNotFound for a number that there is not."""
        named = await self._named(wanted) if wanted.name else None
        model_id = named.id if named else wanted.model_id
        # Both at once: who predicts waits for it each time.
        model, found = await asyncio.gather(
            get_from(self._store, Model, model_id), self._store.find(ModelVersion, _answering(model_id, wanted.version))
        )
        if model.user_id != wanted.user_id:
            raise RecordNotFound(label="model", id=model_id)
        if wanted.version and not found:
            raise _no_version(model_id, wanted.version)
        if not found:
            return Resolved(model)
        version = found[0]
        kept = await self._store.get(Artifact, version.artifact_id) if version.artifact_id else None
        recorded = (version.details or {}).get("artifact_sha256")
        # Whoever records a version by hand may write anything there.
        return Resolved(model, replace(version, **LONG), kept, recorded if isinstance(recorded, str) else "")

    async def _named(self, wanted: Wanted) -> Model | None:
        found = await self._store.find(Model, Query({"user_id": wanted.user_id, "name": wanted.name}))
        return found[0] if found else None

    @override
    async def page(self, request: PageRequest) -> Page[ModelVersion]:
        """One page of a model's versions, newest first."""
        await get_from(self._store, Model, request.where.get("model_id", ""))
        return await super().page(request)


def _answering(model_id: str, number: int) -> Query:
    if number:
        return Query({"model_id": model_id, "version": number})
    return Query({"model_id": model_id, "status": "ready"}, where_true=KEPT_HERE)


def _is(target: Target, value: Value) -> Comparison:
    return Comparison(target, Operator.EQUALS, value)


def shortened(version: ModelVersion, details: Collection[str] = ()) -> ModelVersion:
    """A version without what is long, but for these fields of its details."""
    kept = {name: value for name, value in (version.details or {}).items() if name in details}
    return replace(version, **LONG | {"features": [], "details": kept or None})


def _no_version(model_id: str, number: int) -> RecordNotFound:
    return RecordNotFound(label=f"version of the model {model_id} with number", id=number)
