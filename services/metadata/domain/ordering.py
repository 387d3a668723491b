"""What lists are ordered by: "create_time desc, name", or one metric of runs."""

import re
from collections.abc import Sequence
from typing import Any

from services.metadata.domain.declarations import Declaration
from services.metadata.domain.entities import MetricSummary
from services.metadata.domain.errors import OrderWrong
from services.metadata.domain.filters import Kind
from services.metadata.domain.meanings import METRICS, target_of
from services.metadata.domain.ports import Ordering, Query, Reader

LONGEST = 500
MOST = 5
LONGEST_TEXT = 256
"""Most characters of a text that every database orders by all of them."""
PART = re.compile(
    r"\s*(?P<path>(?:[^\s,\".]+|\"[^\"\\]+\")(?:\.(?:[^\s,\".]+|\"[^\"\\]+\"))*)(?:\s+(?P<way>asc|desc))?\s*(?:,|$)"
)
SEGMENT = re.compile(r"\"([^\"]+)\"|([^\".]+)")
ORDERED = (Kind.TEXT, Kind.WORD, Kind.NUMBER, Kind.BOOL, Kind.TIME)


def parse(declaration: Declaration, text: str) -> tuple[Ordering, ...]:
    """What an order says, the id added so that no two records stand in one place; empty for the usual order."""
    if not text.strip():
        return ()
    if len(text) > LONGEST:
        raise OrderWrong(given=text[:20], problem=f"it is longer than {LONGEST} characters")
    try:
        return _unique(list(_parts(declaration, text)))
    except ValueError as error:
        raise OrderWrong(given=text[:200], problem=str(error)) from None


def _parts(declaration: Declaration, text: str) -> "list[Ordering]":
    at, parts = 0, []
    while at < len(text):
        found = PART.match(text, at)
        if found is None:
            raise ValueError(f"what stands at character {at + 1} is no attribute with asc or desc")
        path = [quoted or plain for quoted, plain in SEGMENT.findall(found["path"])]
        parts.append(_part(declaration, path, found["way"] == "desc"))
        at = found.end()
    if text.rstrip().endswith(","):
        raise ValueError("an attribute is missing at the end")
    return parts


def _part(declaration: Declaration, path: list[str], descending: bool) -> Ordering:
    target = target_of(declaration, path)
    if target.kind is Kind.METRIC:
        name, split = target.keys
        return Ordering(METRICS, descending, (name, split))
    rules = declaration.attributes[target.name].rules
    too_long = target.kind is Kind.TEXT and (rules.max_length is None or rules.max_length > LONGEST_TEXT)
    if target.kind not in ORDERED or too_long:
        raise ValueError(f"{target.name} is {'too long a text' if too_long else f'a {target.kind}'} to be listed by")
    return Ordering(target.name, descending)


def _unique(parts: list[Ordering]) -> tuple[Ordering, ...]:
    names = [each.name for each in parts]
    if len(set(names)) < len(names) or len(parts) > MOST:
        raise ValueError(f"it names an attribute twice, or more than {MOST}")
    if METRICS in names:
        if len(parts) > 1:
            raise ValueError("a metric stands alone")
        return tuple(parts)
    return tuple(parts) if "id" in names else (*parts, Ordering("id", parts[-1].descending))


def types_of(declaration: Declaration, order: Sequence[Ordering]) -> list[Any]:
    """The types of a position's values."""
    if order and order[0].metric:
        return [float, *(declaration.attributes[name].type for name in declaration.listed_by)]
    names = [each.name for each in order] or declaration.listed_by
    return [declaration.attributes[name].type for name in names]


async def position(reader: Reader, declaration: Declaration, order: Sequence[Ordering], record: Any) -> list[Any]:
    """Where a record stands in an order."""
    if order and order[0].metric:
        name, split = order[0].metric
        where = {"run_id": record.id, "name": name, "split": split}
        found = await reader.find(MetricSummary, Query(where))
        return [found[0].value if found else None, *(getattr(record, each) for each in declaration.listed_by)]
    return [getattr(record, name) for name in ([each.name for each in order] or declaration.listed_by)]
