"""Numbers of records: given on demand, counted up from 1 for each kind, and never given twice."""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from services.metadata.domain.declarations import ENTITIES, Declaration
from services.metadata.domain.entities import RecordCounter, RecordNumber
from services.metadata.domain.errors import FieldNotOneOf, RecordNotFound, TooManyAtOnce
from services.metadata.domain.ports import Duplicate, Query, Reader, Store, Transaction
from services.metadata.domain.records import Clock, get_from, new_record, utc_now

MOST_AT_ONCE = 1000
NUMBERED = ("models", "model_versions", "datasets", "runs", "experiments", "experiment_runs", "predictions")
"""The kinds whose records have numbers."""


class Numbers:
    """The numbers of all records."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self._store = store
        self._now = now

    async def number(self, entity: str, ids: Sequence[str]) -> list[int]:
        """The numbers of records, each given now to one that has none; RecordNotFound for an id of no record."""
        declaration = _declaration(entity)
        _check_amount("ids", ids)
        await asyncio.gather(*(get_from(self._store, declaration.kind, each) for each in ids))
        known = await self._known(entity, ids)
        missing = list(dict.fromkeys(each for each in ids if each not in known))
        if missing:
            known |= await self._give(entity, missing)
        return [known[each] for each in ids]

    async def find(self, entity: str, numbers: Sequence[int]) -> list[str]:
        """The ids of the records of these numbers; RecordNotFound for a number that no record has, or has any more."""
        declaration = _declaration(entity)
        _check_amount("numbers", numbers)
        return list(await asyncio.gather(*(self._find(declaration, each) for each in numbers)))

    async def _find(self, declaration: Declaration, number: int) -> str:
        found = await self._store.find(RecordNumber, Query({"entity": declaration.name, "number": number}))
        if not found or await self._store.get(declaration.kind, found[0].record_id) is None:
            raise RecordNotFound(label=f"{declaration.label} with number", id=number)
        return found[0].record_id

    async def _known(self, entity: str, ids: Sequence[str]) -> dict[str, int]:
        found = await asyncio.gather(*(self._store.get(RecordNumber, _key(entity, each)) for each in ids))
        return {each.record_id: each.number for each in found if each}

    async def _give(self, entity: str, ids: Sequence[str]) -> dict[str, int]:
        await self._begin(entity)

        async def unit(transaction: Transaction) -> dict[str, int]:
            # Counted first: whoever else numbers records of this kind waits here, and sees what was given meanwhile.
            await transaction.count(RecordCounter, {"id": entity}, "last_number", len(ids))
            counter = await get_from(transaction, RecordCounter, entity)
            given = await _given(transaction, entity, ids)
            if given:
                await transaction.count(RecordCounter, {"id": entity}, "last_number", -len(given))
            number = counter.last_number - len(ids)
            for record_id in ids:
                if record_id not in given:
                    number += 1
                    await transaction.insert(self._new(entity, record_id, number))
                    given[record_id] = number
            return given

        return await self._store.write(unit)

    async def _begin(self, entity: str) -> None:
        """Make sure that there is something to count in."""
        if await self._store.get(RecordCounter, entity) is None:
            fresh = new_record(RecordCounter(id=entity), None, self._now())
            with suppress(Duplicate):  # another one was faster
                await self._store.write(lambda transaction: transaction.insert(fresh))

    def _new(self, entity: str, record_id: str, number: int) -> RecordNumber:
        given = RecordNumber(id=_key(entity, record_id), entity=entity, record_id=record_id, number=number)
        return new_record(given, None, self._now())


async def _given(reader: Reader, entity: str, ids: Sequence[str]) -> dict[str, int]:
    """The numbers that these records have already."""
    found = [await reader.get(RecordNumber, _key(entity, each)) for each in ids]
    return {each.record_id: each.number for each in found if each}


def _key(entity: str, record_id: str) -> str:
    """The id under which the number of a record is kept, so that many are looked up at once."""
    return hashlib.blake2b(f"{entity}/{record_id}".encode(), digest_size=16).hexdigest()


def _declaration(entity: str) -> Declaration:
    if entity not in NUMBERED:
        raise FieldNotOneOf("entity", value=entity, choices=", ".join(NUMBERED))
    return ENTITIES[entity]


def _check_amount(field: str, given: Sequence[Any]) -> None:
    if not 1 <= len(given) <= MOST_AT_ONCE:
        raise TooManyAtOnce(field, count=len(given), limit=MOST_AT_ONCE)
