"""Takes in the records of an export, batch by batch, and remembers how far it is."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from services.metadata.domain.canonical import Malformed, form_of
from services.metadata.domain.checks import check
from services.metadata.domain.declarations import Declaration
from services.metadata.domain.entities import Import
from services.metadata.domain.errors import (
    BatchDamaged,
    BatchOutOfOrder,
    FieldMalformed,
    FieldMissing,
    FieldsDisagree,
    ForeignRecords,
    ImportEnded,
    RecordMalformed,
)
from services.metadata.domain.ports import BrokenReference, Duplicate, Store, Transaction
from services.metadata.domain.records import Clock, name_missing, new_record, record_exists, save, utc_now
from services.metadata.domain.transfers import (
    CARRIED,
    MOST_BYTES,
    MOST_RECORDS,
    PLACES,
    Batch,
    Place,
    carried,
    hash_of,
    key_at,
)


@dataclass(frozen=True)
class Part:
    """A part of an import."""

    import_id: str
    batch: Batch | None = None
    last: bool = False


@dataclass(frozen=True)
class Contents:
    """What a batch holds."""

    declaration: Declaration
    records: Sequence[Any]
    keys: Sequence[tuple[Any, ...]]

    @property
    def begin(self) -> Place:
        """Where its first record is."""
        return PLACES[self.declaration.name], self.keys[0]

    @property
    def end(self) -> Place:
        """Where its last record is."""
        return PLACES[self.declaration.name], self.keys[-1]

    def after(self, place: Place | None) -> Sequence[Any]:
        """The records that come after a place."""
        if place is None or self.begin > place:
            return self.records
        number = PLACES[self.declaration.name]
        told = zip(self.records, self.keys, strict=True)
        return [record for record, key in told if (number, key) > place]


class Imports:
    """Imports of records into a store."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self._store = store
        self._now = now

    async def get(self, import_id: str) -> Import:
        """How far an import is; one that has not begun is at no position."""
        _check_id(import_id)
        return await self._store.get(Import, import_id) or Import(id=import_id)

    async def take(self, parts: AsyncIterator[Part]) -> Import:
        """Take in the parts of one import; how far it is then.

        What it has already is passed over. Raises what is wrong with a part before anything of it is written.
        """
        taking: Taking | None = None
        async for part in parts:
            taking = taking or Taking(self._store, self._now, await self._begun(part.import_id))
            await taking.take(part)
        if taking is None:
            raise FieldMissing("import_id")
        return taking.note

    async def _begun(self, import_id: str) -> Import:
        note = await self.get(import_id)
        if note.etag:
            return note
        note = new_record(note, None, self._now())

        async def unit(transaction: Transaction) -> None:
            for declaration in CARRIED:
                if await transaction.scan(declaration.kind, None, 1):
                    raise ForeignRecords(entity=declaration.name)
            await transaction.insert(note)

        await self._store.write(unit)
        return note


class Taking:
    """One stream of parts being taken in."""

    def __init__(self, store: Store, now: Clock, note: Import) -> None:
        self._store = store
        self._now = now
        self.note = note
        self._there = _place_of(note)
        self._come: Place | None = None
        self._ended = False

    async def take(self, part: Part) -> None:
        """Write what is new in a part, and the note of it, in one transaction."""
        if part.import_id != self.note.id:
            raise FieldsDisagree("import_id", given=part.import_id, expected=self.note.id)
        if self._ended:
            raise FieldMalformed("last", problem="set in an earlier part", advice="Set it in the last part only")
        self._ended = part.last
        if part.batch is not None:
            await self._add(part.batch)
        if part.last and not self.note.complete:
            await self._write(replace(self.note, complete=True))

    async def _add(self, batch: Batch) -> None:
        contents = contents_of(batch)
        if self._come is not None and contents.begin <= self._come:
            raise BatchOutOfOrder(entity=batch.entity, position=batch.position)
        self._come = contents.end
        new = contents.after(self._there)
        if not new:
            return
        if self.note.complete:
            raise ImportEnded(id=self.note.id)
        note = replace(self.note, entity=batch.entity, position=batch.position, count=self.note.count + len(new))
        try:
            await self._write(note, contents.declaration.kind, new)
        except Duplicate as duplicate:
            raise record_exists(contents.declaration, duplicate) from duplicate
        except BrokenReference as broken:
            for record in new:
                await name_missing(self._store, record)
            raise broken from None
        self._there = contents.end

    async def _write(self, note: Import, kind: type[Any] = Import, records: Sequence[Any] = ()) -> None:
        async def unit(transaction: Transaction) -> Import:
            if records:
                await transaction.load(kind, records)
            # The note last: where there are no transactions, it must not tell of what is not there.
            return await save(transaction, self.note, note, self._now())

        self.note = await self._store.write(unit)


def _check_id(import_id: str) -> None:
    if not import_id:
        raise FieldMissing("import_id")
    try:
        check(Import(id=import_id), ["id"])
    except FieldMalformed:
        advice = "Make it of letters, digits, - and _"
        raise FieldMalformed("import_id", problem="not in the right form", advice=advice) from None


def _place_of(note: Import) -> Place | None:
    if not note.entity:
        return None
    declaration = carried(note.entity, "import_id")
    return PLACES[note.entity], key_at(declaration, note.position, "import_id")


def contents_of(batch: Batch) -> Contents:
    """What a batch holds; an InvalidInput when it is not one of an export."""
    declaration, count = carried(batch.entity, "batch.entity"), len(batch.records)
    size = sum(map(len, batch.records))
    if not 1 <= count <= MOST_RECORDS or (size > MOST_BYTES and count > 1):
        problem = f"of {count} records with {size} bytes"
        advice = f"Give 1 to {MOST_RECORDS} with {MOST_BYTES} bytes, or a single one"
        raise FieldMalformed("batch.records", problem=problem, advice=advice)
    if hash_of(batch.records) != batch.sha256:
        raise BatchDamaged(entity=batch.entity, position=batch.position)
    form = form_of(declaration.kind)
    records = list(_read(declaration, batch.records))
    keys = [form.key(record) for record in records]
    in_order = all(earlier < later for earlier, later in pairwise(keys))
    if not in_order or key_at(declaration, batch.position, "batch.position") != keys[-1]:
        raise BatchOutOfOrder(entity=batch.entity, position=batch.position)
    return Contents(declaration, records, keys)


def _read(declaration: Declaration, written: Sequence[bytes]) -> "list[Any]":
    form, number, records = form_of(declaration.kind), 0, []
    try:
        for number, each in enumerate(written, 1):  # noqa: B007 (told when it fails)
            records.append(form.decode(each))
    except Malformed as problem:
        raise RecordMalformed(number=number, entity=declaration.name, problem=problem) from problem
    return records
