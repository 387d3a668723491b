"""What can be done with every kind of record: create, get, list, update, delete."""

import dataclasses
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from services.metadata.domain import declarations, falling
from services.metadata.domain.checks import check
from services.metadata.domain.declarations import ENTITIES, Declaration
from services.metadata.domain.entities import NAME, Record
from services.metadata.domain.errors import (
    FieldMissing,
    FieldNotUpdatable,
    FieldTooLong,
    MaskEmpty,
    RecordChanged,
    RecordExists,
    RecordNotFound,
    ReferenceMissing,
)
from services.metadata.domain.paging import Page, PageRequest, Sizes, find_page
from services.metadata.domain.ports import BrokenReference, Duplicate, Query, Reader, Store, Transaction, Values

R = TypeVar("R", bound=Record)
Clock = Callable[[], datetime]
Also = Callable[[Transaction], Awaitable[None]]


def utc_now() -> datetime:
    """The time, as the service's clock has it."""
    return datetime.now(UTC)


class Records(Generic[R]):
    """The records of one kind."""

    sizes = Sizes()

    def __init__(self, kind: type[R], store: Store, now: Clock = utc_now) -> None:
        self._kind = kind
        self._declaration = declarations.of(kind)
        self._store = store
        self._now = now

    async def create(self, given: R, request_id: str, also: Also | None = None) -> R:
        """Add a record, and do what else belongs to that, in one transaction; a repeat returns the first record."""
        record = new_record(given, request_id, self._now())

        async def unit(transaction: Transaction) -> R:
            await transaction.insert(record)
            if also:
                await also(transaction)
            return record

        return await self._create(record, unit)

    async def _create(self, record: R, unit: Callable[[Transaction], Awaitable[R]]) -> R:
        """Do a unit of work that adds a record, unless the request that wants it has been served before."""
        try:
            return await self._store.write(unit)
        except Duplicate as duplicate:
            if first := await self._first(record.request_id):
                return first
            raise record_exists(self._declaration, duplicate) from duplicate
        except BrokenReference as broken:
            await name_missing(self._store, record)
            raise broken from None

    async def _first(self, request_id: str | None) -> R | None:
        found = await self._store.find(self._kind, Query({"request_id": request_id}))
        return found[0] if found else None

    async def get(self, record_id: str) -> R:
        """The record of this id; RecordNotFound when there is none."""
        return await get_from(self._store, self._kind, record_id)

    async def page(self, request: PageRequest) -> Page[R]:
        """One page of the records that the request asks for."""
        return await find_page(self._store, self._kind, request, self.sizes)

    async def update(self, given: R, mask: Sequence[str]) -> R:
        """Change the attributes that the mask names to the given values, if a given etag is the present one."""
        names = _updatable(self._declaration, mask)
        check(given, names)
        values = {name: getattr(given, name) for name in names}

        async def unit(transaction: Transaction) -> R:
            current = await get_from(transaction, self._kind, given.id)
            if given.etag and given.etag != current.etag:
                raise RecordChanged(label=self._declaration.label, id=given.id)
            return await save(transaction, current, self.changed(current, values), self._now())

        try:
            return await self._store.write(unit)
        except Duplicate as duplicate:
            raise record_exists(self._declaration, duplicate) from duplicate
        except BrokenReference as broken:
            await name_missing(self._store, given, names)
            raise broken from None

    def changed(self, current: R, values: Values) -> R:
        """What an update makes of a record: here whoever has rules for that adds them."""
        return dataclasses.replace(current, **values)

    async def delete(self, record_id: str, allow_missing: bool = False) -> int:
        """Delete a record and what falls with it; how many records that were."""

        async def unit(transaction: Transaction) -> int:
            return await falling.remove(transaction, self._declaration, record_id, self._now())

        count = await self._store.write(unit)
        if not count and not allow_missing:
            raise RecordNotFound(label=self._declaration.label, id=record_id)
        return count


def new_record(given: R, request_id: str | None, now: datetime) -> R:
    """A given record as it begins its life; an InvalidInput when it may not."""
    if request_id is not None:
        check_request_id(request_id)
    attributes = declarations.of(type(given)).attributes.values()
    ours: dict[str, Any] = {each.name: each.empty() for each in attributes if each.rules.output_only}
    ours |= {"id": given.id or uuid.uuid4().hex, "request_id": request_id}
    ours |= {"create_time": now, "update_time": now, "etag": falling.new_etag()}
    record = dataclasses.replace(given, **ours)
    check(record)
    return record


def check_request_id(request_id: str, spare: int = 0) -> None:
    """Raise an InvalidInput for a request's id that is missing, or too long to have so many characters added."""
    if not request_id:
        raise FieldMissing("request_id")
    if len(request_id) > NAME - spare:
        raise FieldTooLong("request_id", length=len(request_id), limit=NAME - spare)


async def get_from(reader: Reader, kind: type[R], record_id: str) -> R:
    """The record of this id; RecordNotFound when there is none."""
    record = await reader.get(kind, record_id)
    if record is None:
        raise RecordNotFound(label=declarations.of(kind).label, id=record_id or "without an id")
    return record


async def save(transaction: Transaction, before: R, after: R, now: datetime) -> R:
    """Write a changed record over what it was, under a new etag; RecordChanged when somebody else was faster."""
    changed = dataclasses.replace(after, update_time=now, etag=falling.new_etag())
    if not await transaction.update(changed, before.etag):
        raise RecordChanged(label=declarations.of(type(after)).label, id=after.id)
    return changed


async def name_missing(reader: Reader, record: Any, names: Sequence[str] | None = None) -> None:
    """Raise ReferenceMissing for the first reference, of all or of those named, that leads nowhere."""
    for name, reference in declarations.of(type(record)).references:
        target, wanted = ENTITIES[reference.to], getattr(record, name)
        if wanted and (names is None or name in names) and await reader.get(target.kind, wanted) is None:
            raise ReferenceMissing(field=name, label=target.label, id=wanted)


def record_exists(declaration: Declaration, duplicate: Duplicate) -> RecordExists:
    """That another record is in the way, said of this kind of record."""
    return RecordExists(label=declaration.label, **duplicate.facts)


def _updatable(declaration: Declaration, mask: Sequence[str]) -> list[str]:
    choices = [each.name for each in declaration.attributes.values() if each.rules.updatable]
    listed = ", ".join(choices)
    for name in mask:
        if name not in choices:
            raise FieldNotUpdatable(name, choices=listed)
    if not mask:
        raise MaskEmpty("update_mask", choices=listed)
    return list(mask)
