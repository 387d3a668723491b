"""Predictions: logged one by one or many at once."""

from collections.abc import Sequence
from dataclasses import replace

from typing_extensions import override

from services.metadata.domain.checks import check
from services.metadata.domain.declarations import EPOCH
from services.metadata.domain.entities import ModelVersion, Prediction
from services.metadata.domain.errors import ReferenceMissing, TooManyAtOnce
from services.metadata.domain.ports import BrokenReference, Duplicate, Store, Transaction
from services.metadata.domain.records import (
    Also,
    Clock,
    Records,
    check_request_id,
    name_missing,
    new_record,
    record_exists,
    utc_now,
)

MOST_AT_ONCE = 1000
NUMBER_LENGTH = 10
"""What a request's id is longer for each prediction of a batch, at most."""


class Predictions(Records[Prediction]):
    """All predictions."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(Prediction, store, now)

    @override
    async def create(self, given: Prediction, request_id: str, also: Also | None = None) -> Prediction:
        """Add a prediction of a version, and so of its model."""
        return await super().create(await self._completed(given), request_id, also)

    async def create_all(self, given: Sequence[Prediction], request_id: str) -> list[Prediction]:
        """Add many, all or none; a repeat returns the first ones."""
        if not 1 <= len(given) <= MOST_AT_ONCE:
            raise TooManyAtOnce("predictions", count=len(given), limit=MOST_AT_ONCE)
        check_request_id(request_id, NUMBER_LENGTH)
        completed = [await self._completed(each) for each in given]
        records = [new_record(each, f"{request_id}/{number}", self._now()) for number, each in enumerate(completed)]

        async def unit(transaction: Transaction) -> list[Prediction]:
            for record in records:
                await transaction.insert(record)
            return records

        try:
            return await self._store.write(unit)
        except Duplicate as duplicate:
            firsts = [await self._first(record.request_id) for record in records]
            if all(firsts):
                return [first for first in firsts if first]
            raise record_exists(self._declaration, duplicate) from duplicate
        except BrokenReference as broken:
            for record in records:
                await name_missing(self._store, record)
            raise broken from None

    async def _completed(self, given: Prediction) -> Prediction:
        check(given, ("model_version_id",))
        version = await self._store.get(ModelVersion, given.model_version_id)
        if version is None:
            raise ReferenceMissing(field="model_version_id", label="model version", id=given.model_version_id)
        moment = self._now() if given.predict_time == EPOCH else given.predict_time
        return replace(given, model_id=version.model_id, predict_time=moment)
