"""What is asked of the domain's queries, in the server's language. Nothing is left to be filtered here."""

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from bson import MaxKey, ObjectId

from services.metadata.adapters.mongodb.documents import ID, MICROS, Document, Field, Layout, Values, object_id
from services.metadata.domain.entities import JobStatus
from services.metadata.domain.ports import Query

Sort = list[tuple[str, int]]

DIGITS = "0123456789abcdef"
OBJECT_ID_LENGTH = 24
BEGINNING = re.compile(f"[0-9a-f]{{0,{OBJECT_ID_LENGTH}}}")
LEAST = ObjectId("0" * OBJECT_ID_LENGTH)


def equal(layout: Layout, where: Values) -> Document:
    """Documents whose attributes have these values."""
    if layout.compound and set(where) == set(layout.declaration.key):
        return {ID: {name: layout.fields[name].codec.encode(where[name]) for name in layout.declaration.key}}
    if layout.compound and _is_prefix(layout, where):
        return {ID: _range(layout, where)}
    conditions: Document = {}
    for name, value in where.items():
        conditions |= equals(layout.fields[name], value)
    return conditions


def _is_prefix(layout: Layout, where: Values) -> bool:
    return set(where) == set(layout.declaration.key[: len(where)]) and 0 < len(where) < len(layout.declaration.key)


def _range(layout: Layout, where: Values) -> Document:
    """All keys that begin with these values: documents are ordered by their fields, one after the other."""
    names = layout.declaration.key
    begin = {name: layout.fields[name].codec.encode(where[name]) for name in names[: len(where)]}
    return {"$gte": begin, "$lte": begin | {names[len(where)]: MaxKey()}}


def equals(field: Field, value: Any) -> Document:
    """Documents whose field has this value."""
    if value is None:
        return {field.path: None}  # or not there
    kept = field.codec.encode(value)
    if field.micros:
        return {field.path: kept, field.micros: value.microsecond % 1000 or None}
    if isinstance(kept, ObjectId):
        return {field.path: {"$in": [kept, value]}}  # others may have written it as text
    return {field.path: {"$in": ["", None]} if kept == "" else kept}


def beyond(layout: Layout, after: tuple[Any, ...] | None) -> Iterator[Document]:
    """What comes after a key, by its text: first ids that are texts, then those that are ObjectIds.

    The server orders all of the one before all of the other.
    """
    first, *rest = after or ("",)
    # A comparison finds only values of its own type; compound keys are all of one, whatever is in them.
    yield {ID: {"$gt": _key(layout, first, rest)} | ({"$lt": _key(layout, LEAST, [])} if layout.compound else {})}
    same = object_id(first)
    if isinstance(same, ObjectId):
        yield {ID: {"$gt": _key(layout, same, rest)}}
    elif (following := next_object_id(first)) is not None:
        yield {ID: {"$gte": _key(layout, following, [])}}


def _key(layout: Layout, first: Any, rest: Sequence[Any]) -> Any:
    names = layout.declaration.key[: 1 + len(rest)]
    return dict(zip(names, (first, *rest), strict=True)) if layout.compound else first


def next_object_id(text: str) -> ObjectId | None:
    """The first ObjectId whose text comes after a text that is none; None when there is none."""
    digits = BEGINNING.match(text)[0]  # type: ignore[index]  # it always matches
    if len(digits) < len(text):
        digits = _higher(digits, text[len(digits)]) or _increased(digits)
        if not digits:
            return None
    return ObjectId(digits.ljust(OBJECT_ID_LENGTH, "0"))


def _higher(digits: str, than: str) -> str:
    """The digits and a further one that comes after a character; empty when there is none."""
    found = next((each for each in DIGITS if each > than), "") if len(digits) < OBJECT_ID_LENGTH else ""
    return found and digits + found


def _increased(digits: str) -> str:
    """The next number of as many digits; empty when there is none."""
    increased = f"{int(digits or '0', 16) + 1:0{len(digits)}x}"
    return increased if len(increased) == len(digits) else ""


def before(layout: Layout, than: Values) -> Document:
    """Documents whose times are earlier than these."""
    told = [earlier(layout.fields[name], moment) for name, moment in than.items()]
    return {"$and": told} if told else {}


def earlier(field: Field, moment: datetime, or_at: bool = False) -> Document:
    """Documents whose time is earlier than this, or at it."""
    beyond = moment.microsecond % 1000
    if not beyond and not or_at:
        return {field.path: {"$lt": moment}}
    at_the_same = {field.path: moment, field.micros: {"$not": {"$gt" if or_at else "$gte": beyond}}}
    return {field.path: {"$lte": moment}, "$or": [{field.path: {"$lt": moment}}, at_the_same]}


def order(layout: Layout) -> Sort:
    """The order that the entity declares."""
    direction = -1 if layout.declaration.newest_first else 1
    if _is_kept_in_order(layout):
        return [(ID, direction)]
    return [(path, direction) for name in layout.declaration.listed_by for path in paths(layout, name)]


def _is_kept_in_order(layout: Layout) -> bool:
    """Whether the entity is listed by the end of its compound key, under one beginning of it."""
    return layout.compound and layout.declaration.key[-len(layout.declaration.listed_by) :] == (
        layout.declaration.listed_by
    )


def paths(layout: Layout, name: str) -> tuple[str, ...]:
    """The fields that an attribute is ordered by."""
    field = layout.fields[name]
    return (field.path, field.micros) if field.micros else (field.path,)


def after(layout: Layout, query: Query) -> Document:
    """Documents that come after the query's position, in the entity's order."""
    if query.after is None:
        return {}
    compare = "$lt" if layout.declaration.newest_first else "$gt"
    position = dict(zip(layout.declaration.listed_by, query.after, strict=True))
    if _is_kept_in_order(layout):
        values = {**query.where, **position}
        return {ID: {compare: {n: layout.fields[n].codec.encode(values[n]) for n in layout.declaration.key}}}
    columns = [column for name, value in position.items() for column in _columns(layout.fields[name], value)]
    first, at = columns[0]
    within = {first: {f"{compare}e": at}}
    beyond = [
        {"$and": [*({path: value} for path, value in columns[:number]), _beyond(column, compare)]}
        for number, column in enumerate(columns)
        if column[1] is not None or compare == "$gt"  # nothing comes before what has no microseconds
    ]
    return {**within, "$or": beyond}


Column = tuple[str, Any]


def _columns(field: Field, value: Any) -> Iterator[Column]:
    yield field.path, field.codec.encode(value)
    if field.micros:
        yield field.micros, value.microsecond % 1000 or None


def _beyond(column: Column, compare: str) -> Document:
    """What lies beyond a value. Comparisons find only values of its own type, so what is of another is named."""
    path, value = column
    if value is None:
        return {path: {"$ne": None}}
    if path.startswith(f"{MICROS}.") and compare == "$lt":
        return {path: {"$not": {"$gte": value}}}
    if isinstance(value, ObjectId) and compare == "$lt":
        return {"$or": [{path: {compare: value}}, {path: {"$type": "string"}}]}
    if path == ID and isinstance(value, str) and compare == "$gt":
        return {"$or": [{path: {compare: value}}, {path: {"$type": "objectId"}}]}
    return {path: {compare: value}}


def conditions(layout: Layout, query: Query) -> Document:
    """All that a query asks for."""
    parts = [equal(layout, query.where), before(layout, query.before), after(layout, query)]
    told = [part for part in parts if part]
    return {"$and": told} if len(told) > 1 else (told or [{}])[0]


def within(path: str, by: int, most: int | None) -> Document:
    """Documents whose counter is 0 to `most` when this is added. One that has none counts as 0."""
    bounds: list[Document] = [{path: {"$gte": -by}}] if by < 0 else []
    if most is not None:
        bounds.append({path: {"$not": {"$gt": most - by}}})
    return {"$and": bounds} if bounds else {}


def groups(layout: Layout, condition: Document, by: Sequence[str]) -> list[Document]:
    """The stages that count documents for each combination of values."""
    told = {str(number): f"${layout.fields[name].path}" for number, name in enumerate(by)}
    return [{"$match": condition}, {"$group": {ID: told, "count": {"$sum": 1}}}]


def group_of(layout: Layout, group: Document, by: Sequence[str]) -> tuple[Any, ...]:
    """The values that a group was counted for."""
    return tuple(layout.fields[name].known(group[ID].get(str(number))) for number, name in enumerate(by))


def due(layout: Layout, kinds: Collection[str], now: datetime) -> tuple[Document, Document]:
    """Jobs that wait and may begin, and jobs whose lease has run out."""
    status, due_time, lease = (layout.fields[name] for name in ("status", "due_time", "lease_expire_time"))
    of_kind = {layout.fields["kind"].path: {"$in": list(kinds)}}
    waiting = {"$or": [{due_time.path: None}, earlier(due_time, now, or_at=True)]}
    return (
        {**equals(status, JobStatus.QUEUED), **of_kind, **waiting},
        {**equals(status, JobStatus.RUNNING), **of_kind, **earlier(lease, now)},
    )


def oldest_first(layout: Layout) -> Sort:
    """By the time of creation, as jobs are claimed."""
    return [(path, 1) for name in ("create_time", "id") for path in paths(layout, name)]
