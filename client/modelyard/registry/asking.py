"""What calls have in common: questions, numbers of records, pages.

A call is a generator: it yields what it asks, is sent the answer, and returns its result. `registries` carries the
questions, with an event loop and without.
"""

import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from modelyard.metadata.v1 import registry_pb2
from modelyard.registry.documents import Document
from modelyard.registry.problems import NotFound, invalid
from modelyard.registry.shapes import Shape

Result = TypeVar("Result")
Id = int | str
"""A record's number, or the id that all of Modelyard knows it by."""

SECONDS = 30.0
MOST_AT_ONCE = 1000
PAGE = 250
"""Records in a page; their documents must fit into one message."""
REMEMBERED = 100_000


@dataclass(frozen=True)
class Ask:
    """A question with one answer: a method of one of the metadata services, and its request."""

    service: str
    method: str
    request: Any
    seconds: float = SECONDS


Call = Generator[Ask, Any, Result]


@dataclass
class Session:
    """Whose records a registry is about, and the numbers that it has learned: a record never changes its own."""

    user_id: str
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    _ids: dict[tuple[str, int], str] = field(default_factory=dict)

    def learn(self, entity: str, ids: Iterable[str], numbers: Iterable[int]) -> None:
        """Remember numbers; they are forgotten when there are too many."""
        if len(self._ids) > REMEMBERED:
            self._numbers.clear()
            self._ids.clear()
        for record_id, number in zip(ids, numbers, strict=True):
            self._numbers[entity, record_id] = number
            self._ids[entity, number] = record_id

    def number(self, entity: str, record_id: str) -> int | None:
        """The number of a record, if it is known."""
        return self._numbers.get((entity, record_id))

    def record_id(self, entity: str, number: int) -> str | None:
        """The id of the record of a number, if it is known."""
        return self._ids.get((entity, number))


def request_id_of(given: str | None) -> str:
    """What makes a repeat of a request known: given by who wants to repeat it, or new."""
    return uuid.uuid4().hex if given is None else given


def id_of(session: Session, shape: Shape, given: Id) -> Call[str]:
    """The id that the services know a record by; NotFound for a number that no record has."""
    if isinstance(given, str):
        return given
    if not isinstance(given, int) or isinstance(given, bool):
        raise invalid(f"The id of a {shape.label} is a number, and not {given!r}.")
    known = session.record_id(shape.entity, given)
    if known is not None:
        return known
    request = registry_pb2.FindNumberedRecordsRequest(entity=shape.entity, numbers=[_in_range(shape, given)])
    answer = yield Ask("Registry", "FindNumberedRecords", request)
    session.learn(shape.entity, answer.ids, [given])
    return str(answer.ids[0])


def _in_range(shape: Shape, number: int) -> int:
    if abs(number) >= 2**63:
        raise NotFound(0, "RECORD_NOT_FOUND", f"There is no {shape.label} with number {number}.")
    return number


def maybe_id_of(session: Session, shape: Shape, given: Id | None) -> Call[str | None]:
    """The same, where there may be none."""
    return None if given is None else (yield from id_of(session, shape, given))


def numbers_of(session: Session, entity: str, ids: Iterable[str]) -> Call[None]:
    """Learn the numbers of records; those that are gone stay without one."""
    missing = [each for each in dict.fromkeys(ids) if each and session.number(entity, each) is None]
    for start in range(0, len(missing), MOST_AT_ONCE):
        part = missing[start : start + MOST_AT_ONCE]
        try:
            yield from _ask_numbers(session, entity, part)
        except NotFound:
            yield from _one_by_one(session, entity, part)


def _one_by_one(session: Session, entity: str, ids: Sequence[str]) -> Call[None]:
    for each in ids:
        try:
            yield from _ask_numbers(session, entity, [each])
        except NotFound:  # deleted meanwhile, or before
            continue


def _ask_numbers(session: Session, entity: str, ids: Sequence[str]) -> Call[None]:
    answer = yield Ask("Registry", "NumberRecords", registry_pb2.NumberRecordsRequest(entity=entity, ids=ids))
    session.learn(entity, ids, answer.numbers)


def number_of(session: Session, shape: Shape, record_id: str) -> Call[int]:
    """The number of a record that was just made."""
    if (known := session.number(shape.entity, record_id)) is None:
        yield from _ask_numbers(session, shape.entity, [record_id])
        known = session.number(shape.entity, record_id)
    return known or 0


def told(session: Session, shape: Shape, records: Sequence[Any]) -> Call[list[Document]]:
    """Records as dictionaries; one that was deleted meanwhile is left out."""
    yield from numbers_of(session, shape.entity, (record.id for record in records))
    for name, entity in set(shape.refers.values()):
        yield from numbers_of(session, entity, (getattr(record, name) for record in records))
    return [_one(session, shape, record) for record in records if session.number(shape.entity, record.id) is not None]


def _one(session: Session, shape: Shape, record: Any) -> Document:
    ids: Document = {"id": session.number(shape.entity, record.id)}
    for name, (attribute, entity) in shape.refers.items():
        ids[name] = session.number(entity, getattr(record, attribute))
    return {**ids, **shape.told(record), "record_id": record.id}


def got(session: Session, shape: Shape, ask: Ask) -> Call[Document | None]:
    """One record as a dictionary; None when there is none, or it is another user's."""
    try:
        record = yield ask
    except NotFound:
        return None
    if getattr(record, "user_id", session.user_id) != session.user_id:
        return None
    found = yield from told(session, shape, [record])
    return found[0] if found else None


def listed(session: Session, shape: Shape, ask: Ask, limit: int | None, name: str = "") -> Call[list[Document]]:
    """The records of a list, page by page, at most `limit`; `name` is the field of the answer that holds them."""
    records = yield from collected(ask, name or shape.entity, limit, PAGE)
    return (yield from told(session, shape, records))


def collected(ask: Ask, name: str, limit: int | None, page_size: int) -> Call[list[Any]]:
    """The messages of a list, page by page."""
    if limit is not None and limit < 0:
        raise invalid(f"The limit is {limit}. It is 0 or more, or None for all.")
    records: list[Any] = []
    while limit is None or len(records) < limit:
        ask.request.page_size = page_size if limit is None else min(page_size, limit - len(records))
        page = yield ask
        records.extend(getattr(page, name))
        ask.request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    return records


def given_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given something."""
    return {name: value for name, value in fields.items() if value is not None}
