"""A store that keeps what follows from records beside them: the words they are found by, and what metrics came to.

It is written in the transaction that writes the record, whichever use case that belongs to.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from services.metadata.domain import declarations
from services.metadata.domain.declarations import Declaration
from services.metadata.domain.entities import Metric, Record, SearchText
from services.metadata.domain.ports import Query, Store, Transaction, Values
from services.metadata.domain.summaries import summaries_of
from services.metadata.domain.words import MOST_IN_A_RECORD, kept, words_of

E = TypeVar("E")
R = TypeVar("R", bound=Record)
T = TypeVar("T")
NAMES = ("name", "title", "event_name")
"""Attributes that people know records by."""
BATCH = 500


def text_of(record: Any) -> SearchText:
    """The words of a record's texts."""
    declaration = declarations.of(type(record))
    words = words_of("\n".join(getattr(record, each) for each in declaration.texts))[:MOST_IN_A_RECORD]
    return SearchText(
        entity=declaration.name,
        record_id=record.id,
        user_id=record.user_id,
        name=next(getattr(record, each) for each in NAMES if each in declaration.attributes),
        create_time=record.create_time,
        words=kept(words),
    )


def searchable() -> list[Declaration]:
    """The kinds of records that are found by their words."""
    return [each for each in declarations.ENTITIES.values() if each.texts and not each.derived]


def _texts(record: Any) -> tuple[str, ...]:
    return tuple(getattr(record, name) for name in declarations.of(type(record)).texts)


class IndexingTransaction:
    """A unit of work that writes what follows from what it writes. All else is the store's own."""

    def __init__(self, inner: Transaction) -> None:
        self._inner = inner
        self._read: dict[str, tuple[str, ...]] = {}
        self.find = inner.find
        self.scan = inner.scan
        self.tally = inner.tally
        self.series = inner.series
        self.peaks = inner.peaks
        self.due_job = inner.due_job
        self.change = inner.change
        self.count = inner.count
        self.put_summaries = inner.put_summaries
        self.put_texts = inner.put_texts

    async def get(self, kind: type[R], record_id: str) -> R | None:
        """The record of this id."""
        record = await self._inner.get(kind, record_id)
        if record is not None and declarations.of(kind).texts:
            self._read[record_id] = _texts(record)
        return record

    async def insert(self, record: Record) -> None:
        """Add a record, and its words."""
        await self._inner.insert(record)
        if _texts(record):
            await self._inner.put_texts([text_of(record)])

    async def update(self, record: R, etag: str) -> bool:
        """Write a record over the one of its id and etag, and its words where they are others than it read."""
        written = await self._inner.update(record, etag)
        texts = _texts(record)
        if written and texts and self._read.get(record.id) != texts:
            await self._inner.put_texts([text_of(record)])
        return written

    async def remove(self, kind: type[Any], where: Values) -> int:
        """Remove all records that equal `where`, and their words."""
        declaration = declarations.of(kind)
        if declaration.texts and not declaration.derived:
            for record_id in await self._ids(kind, where):
                await self._inner.remove(SearchText, {"entity": declaration.name, "record_id": record_id})
        return await self._inner.remove(kind, where)

    async def _ids(self, kind: type[Any], where: Values) -> list[str]:
        if set(where) == {"id"}:
            return [where["id"]]
        declaration, found, after = declarations.of(kind), list[str](), None
        while page := await self._inner.find(kind, Query(where, after=after, limit=BATCH)):
            found += [record.id for record in page]
            after = tuple(getattr(page[-1], name) for name in declaration.listed_by)
        return found

    async def put_metrics(self, metrics: Sequence[Metric]) -> None:
        """Write many metrics, and what they come to."""
        await self._inner.put_metrics(metrics)
        if metrics:
            await self._inner.put_summaries(summaries_of(metrics))

    async def load(self, kind: type[E], records: Sequence[E]) -> None:
        """Write many records as they are, and what follows from them."""
        await self._inner.load(kind, records)
        if kind is Metric:
            await self._inner.put_summaries(summaries_of(cast("Sequence[Metric]", records)))
        elif declarations.of(kind).texts:
            await self._inner.put_texts([text_of(record) for record in records])


class IndexingStore:
    """Another store, with what follows from its records. Reads go straight to it."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.get = inner.get
        self.find = inner.find
        self.scan = inner.scan
        self.tally = inner.tally
        self.series = inner.series
        self.peaks = inner.peaks
        self.due_job = inner.due_job
        self.probe = inner.probe

    async def write(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do a unit of work in one transaction."""

        async def indexed(transaction: Transaction) -> T:
            return await unit(IndexingTransaction(transaction))

        return await self._inner.write(indexed)
