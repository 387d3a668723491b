"""What filters and orders say, in the server's language. Nothing is left to be filtered or put in order here.

Comparisons of whole attributes are written so that indexes serve them. What lies inside documents, and ids, which may
be of two types, are compared by expressions.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from services.metadata.adapters.mongodb import queries
from services.metadata.adapters.mongodb.documents import (
    ID,
    ID_CODEC,
    LAYOUTS,
    Document,
    Field,
    Layout,
    key_in_document,
)
from services.metadata.adapters.mongodb.queries import earlier, equals
from services.metadata.domain import filters
from services.metadata.domain.entities import MetricSummary, SearchText
from services.metadata.domain.filters import All, Comparison, Filter, Kind, Not, Operator, Target, Words, metrics_in
from services.metadata.domain.ports import Ordering, Query

WORDS = "words"
LARGEST_INTEGER = 2**63
OPERATORS = {
    Operator.EQUALS: "$eq",
    Operator.DIFFERS: "$ne",
    Operator.LESS: "$lt",
    Operator.AT_MOST: "$lte",
    Operator.MORE: "$gt",
    Operator.AT_LEAST: "$gte",
}
TYPES = {Kind.TEXT: ["string"], Kind.NUMBER: ["int", "long", "double", "decimal"], Kind.BOOL: ["bool"]}


def true_of(layout: Layout, part: Filter) -> Document:
    """Documents of which a filter is true. What it says of metrics and words lies in the fields that `joined` adds."""
    if isinstance(part, Comparison):
        return _comparison(layout, part)
    if isinstance(part, Words):
        path = WORDS if layout.declaration.kind is SearchText else f"{FOUND_WORDS}.{WORDS}"
        return {path: {"$all": list(part.words)}}
    if isinstance(part, Not):
        return {"$nor": [true_of(layout, part.part)]}
    return {"$and" if isinstance(part, All) else "$or": [true_of(layout, each) for each in part.parts]}


FOUND_WORDS = "_words"


def joined(layout: Layout, part: Filter | None) -> Iterator[Document]:
    """The stages that lay beside each document what a filter says of other documents."""
    for target in dict.fromkeys(metrics_in(part)):
        yield _lookup(LAYOUTS[MetricSummary], _summary_key(target.keys), field_of(target.keys))
    if part is not None and layout.declaration.kind is not SearchText and _has_words(part):
        key = {"entity": {"$literal": layout.declaration.name}, "record_id": {"$toString": "$$the_id"}}
        yield _lookup(LAYOUTS[SearchText], key, FOUND_WORDS)


def field_of(metric: Sequence[str]) -> str:
    """The field for a metric that is laid beside a document."""
    name, split = metric
    return f"_metric_{(split + '/' + name).encode().hex()}"


def by_metric(metric: tuple[str, str]) -> Document:
    """The stage that lays a metric beside each document."""
    return _lookup(LAYOUTS[MetricSummary], _summary_key(metric), field_of(metric))


def _summary_key(metric: Sequence[str]) -> Document:
    name, split = metric
    return {"run_id": "$$the_id", "name": {"$literal": name}, "split": {"$literal": split}}


def _lookup(of: Layout, key: Document, field: str) -> Document:
    match = {"$match": {"$expr": {"$eq": ["$_id", key]}}}
    return {"$lookup": {"from": of.collection, "let": {"the_id": "$_id"}, "pipeline": [match], "as": field}}


def _has_words(part: Filter) -> bool:
    if isinstance(part, Not):
        return _has_words(part.part)
    if isinstance(part, Words | Comparison):
        return isinstance(part, Words)
    return any(_has_words(each) for each in part.parts)


def _comparison(layout: Layout, comparison: Comparison) -> Document:
    target = comparison.target
    if target.kind is Kind.METRIC:
        return _metric(field_of(target.keys), comparison)
    field = layout.fields[target.name]
    if target.keys:
        return {"$expr": _inside(_value_at(layout, target), comparison)}
    if target.kind in (Kind.LIST, Kind.DOCUMENT):
        return _whole(field, comparison)
    if field.codec is ID_CODEC and comparison.operator not in (Operator.EQUALS, Operator.DIFFERS):
        return {"$expr": _inside({"$toString": f"${field.path}"}, comparison, empty="")}
    return _attribute(layout, field, comparison)


def _whole(field: Field, comparison: Comparison) -> Document:
    if comparison.operator is Operator.PRESENT:
        return {field.path: {"$nin": [None, []]}}
    return {field.path: comparison.value}


def _metric(laid: str, comparison: Comparison) -> Document:
    """A metric lies beside its run as a list of one or none."""
    how, value = comparison.operator, comparison.value
    if how is Operator.PRESENT or value is None:
        return {laid: [] if how is Operator.EQUALS else {"$ne": []}}
    return {f"{laid}.value": {OPERATORS[how]: _sendable(value)}}


def _attribute(layout: Layout, field: Field, comparison: Comparison) -> Document:
    how, value = comparison.operator, comparison.value
    if how is Operator.PRESENT:
        return {field.path: {"$nin": [None, ""]}}
    if value is None or how in (Operator.EQUALS, Operator.DIFFERS):
        told = _equal(layout, field, value)
        return told if how is Operator.EQUALS else {"$nor": [told]}
    if field.micros:
        return _ordered_time(field, how, value)
    if how is Operator.HAS:
        return {field.path: {"$regex": filters.pattern(str(value))}}
    told = {field.path: {OPERATORS[how]: _sendable(field.codec.encode(value))}}
    if not field.optional and filters.COMPARE[how](field.empty(), value):
        return {"$or": [told, {field.path: None}]}  # what others wrote without it has it empty
    return told


def _equal(layout: Layout, field: Field, value: Any) -> Document:
    empty = layout.declaration.attributes[field.name].empty()
    if value is not None and not field.optional and not field.micros and value == empty:
        return {field.path: {"$in": [_sendable(field.codec.encode(value)), None]}}
    return equals(field, _sendable(value))


def _ordered_time(field: Field, how: Operator, moment: Any) -> Document:
    or_at = how in (Operator.AT_MOST, Operator.MORE)
    before = earlier(field, moment, or_at=or_at)
    if how in (Operator.LESS, Operator.AT_MOST):
        return before
    return {"$and": [{field.path: {"$ne": None}}, {"$nor": [before]}]}


def _sendable(value: Any) -> Any:
    """A whole number that is too large for the server's becomes the nearest other one."""
    too_large = isinstance(value, int) and not -LARGEST_INTEGER <= value < LARGEST_INTEGER
    return float(value) if too_large else value


def _value_at(layout: Layout, target: Target) -> Any:
    given: Any = f"${layout.fields[target.name].path}"
    names = [key_in_document(layout.declaration.attributes[target.name].type, key) for key in target.keys]
    for name in names:
        # What is no document has nothing inside, and a field cannot be got of it.
        held = {"$cond": [{"$eq": [{"$type": given}, "object"]}, given, {}]}
        given = {"$getField": {"field": {"$literal": name}, "input": held}}
    return given


def _inside(held: Any, comparison: Comparison, empty: Any = None) -> Document:
    """What a comparison says of a value that may be of any type, or missing."""
    how, value = comparison.operator, comparison.value
    present = {"$not": [{"$in": [{"$type": held}, ["missing", "null"]]}]}
    if how is Operator.PRESENT:
        filled = [{"$ne": [held, empty]}] if empty is not None else []
        return {"$and": [present, *filled]}
    if value is None:
        return present if how is Operator.DIFFERS else {"$not": [present]}
    of_type = {"$in": [{"$type": held}, TYPES[filters.kind_of(value)]]}
    if how is Operator.HAS:
        text = {"$cond": [of_type, held, ""]}
        return {"$regexMatch": {"input": text, "regex": filters.pattern(str(value))}}
    if how is Operator.DIFFERS:
        return {"$not": [{"$and": [of_type, {"$eq": [held, {"$literal": value}]}]}]}
    return {"$and": [of_type, {OPERATORS[how]: [held, {"$literal": _sendable(value)}]}]}


def stages(layout: Layout, query: Query) -> list[Document]:
    """The stages that find what a query asks for, in its order. Metrics as an order are not among them."""
    told = [queries.equal(layout, query.where), queries.before(layout, query.before)]
    if not query.order:
        told.append(queries.after(layout, query))
    found = [{"$match": {"$and": [part for part in told if part] or [{}]}}]
    if query.where_true is not None:
        found += [*joined(layout, query.where_true), {"$match": true_of(layout, query.where_true)}]
    return [*found, *_in_order(layout, query), {"$limit": query.limit}]


def _in_order(layout: Layout, query: Query) -> list[Document]:
    if not query.order:
        return [{"$sort": dict(queries.order(layout))}]
    order = Order(layout, query.order)
    *made, sort = order.stages
    beyond = [{"$match": order.after(layout, query.order, query.after)}] if query.after is not None else []
    return [*made, *beyond, sort]


class Order:
    """What documents are put in order by: their own fields, or what is made of these for that."""

    def __init__(self, layout: Layout, order: Sequence[Ordering]) -> None:
        self._columns = [column for each in order for column in _columns(layout, each)]

    @property
    def stages(self) -> list[Document]:
        """The stages that make what is not there, and put documents in order."""
        made = {path: made for path, made, _ in self._columns if made is not None}
        return [*([{"$addFields": made}] if made else []), {"$sort": {path: way for path, _, way in self._columns}}]

    def after(self, layout: Layout, order: Sequence[Ordering], position: Sequence[Any]) -> Document:
        """What comes after a position, one value for each part of the order."""
        values = [each for part, value in zip(order, position, strict=True) for each in _values(layout, part, value)]
        told = [(path, way, value) for (path, _, way), value in zip(self._columns, values, strict=True)]
        return {
            "$or": [
                {"$and": [*({path: value} for path, _, value in told[:number]), _beyond(path, way, at)]}
                for number, (path, way, at) in enumerate(told)
            ]
        }


def _beyond(path: str, way: int, value: Any) -> Document:
    """Comparisons find only values of the type of the one that is given, so what is absent is named."""
    if value is None:
        return {path: {"$ne": None}} if way > 0 else {"$expr": False}
    return {path: {"$gt": value}} if way > 0 else {"$or": [{path: {"$lt": value}}, {path: None}]}


Column = tuple[str, Any, int]


def _columns(layout: Layout, ordering: Ordering) -> Iterator[Column]:
    field, way = layout.fields[ordering.name], -1 if ordering.descending else 1
    if field.micros:
        yield field.path, None, way
        yield field.micros, None, way
    elif ordering.name == "id":
        yield ID, None, way
    else:
        yield f"_order_{ordering.name}", _comparable(layout, field), way


def _comparable(layout: Layout, field: Field) -> Any:
    """A value as every store compares it: ids as texts, words as they are called here, what is missing as empty."""
    told: Any = f"${field.path}"
    if field.codec is ID_CODEC:
        told = {"$toString": told}
    for ours, theirs in layout.shape.words.get(field.name, {}).items():
        told = {"$cond": [{"$eq": [f"${field.path}", theirs]}, ours, told]}
    return {"$ifNull": [told, None if field.optional else field.empty()]}


def _values(layout: Layout, ordering: Ordering, value: Any) -> Iterator[Any]:
    field = layout.fields[ordering.name]
    if field.micros:
        yield value
        yield (value and value.microsecond % 1000) or None
    elif ordering.name == "id":
        yield field.codec.encode(value)
    else:
        yield value
