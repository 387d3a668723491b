"""Lists a page at a time. A page token holds the position where the next page begins, and for which list."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from services.metadata.domain import declarations, grammar, ordering
from services.metadata.domain.declarations import Declaration
from services.metadata.domain.errors import FieldMalformed, PageTokenUnknown
from services.metadata.domain.filters import All, Filter
from services.metadata.domain.ports import Ordering, Query, Reader, Values

E = TypeVar("E")
# Tells tokens of ours from made-up ones. It guards no secret: a forged position shows nothing that the list does not.
SEAL = b"modelyard page token 1"


@dataclass(frozen=True)
class Page(Generic[E]):
    """Some records of a list, and how to get the next ones."""

    records: list[E]
    next_page_token: str
    """Empty on the last page."""


@dataclass(frozen=True)
class Sizes:
    """How many records a page of a list may have."""

    usual: int = 50
    most: int = 1000


@dataclass(frozen=True)
class PageRequest:
    """Which page of which list."""

    where: Values = field(default_factory=dict)
    before: dict[str, datetime] = field(default_factory=dict)
    size: int = 0
    """Most records to return; the list's usual number when 0."""
    token: str = ""
    filter: str = ""
    """What has to be true of the records, as it is written."""
    order_by: str = ""
    """What to list them by, as it is written."""
    where_true: Filter | None = None
    """What has to be true besides."""


async def find_page(reader: Reader, kind: type[E], request: PageRequest, sizes: Sizes = Sizes()) -> Page[E]:
    """One page of a list; an InvalidInput for an impossible size or a token that this list did not give."""
    declaration = declarations.of(kind)
    size = _size(request.size, sizes)
    order = ordering.parse(declaration, request.order_by)
    after = _position(declaration, request, order) if request.token else None
    wanted = _both(request.where_true, grammar.parse(declaration, request.filter) if request.filter else None)
    found = await reader.find(kind, Query(request.where, request.before, after, size + 1, wanted, order))
    token = ""
    if len(found) > size:
        token = _token(declaration, request, await ordering.position(reader, declaration, order, found[size - 1]))
    return Page(found[:size], token)


def _both(one: Filter | None, other: Filter | None) -> Filter | None:
    return All((one, other)) if one and other else one or other


def _size(asked: int, sizes: Sizes) -> int:
    if not 0 <= asked <= sizes.most:
        raise FieldMalformed("page_size", problem=str(asked), advice=f"It is 0 to {sizes.most}")
    return asked or sizes.usual


def _token(declaration: Declaration, request: PageRequest, values: Sequence[Any]) -> str:
    position = [_plain(value) for value in values]
    text = json.dumps([_seal(declaration, request, position), *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(declaration: Declaration, request: PageRequest, order: Sequence[Ordering]) -> tuple[Any, ...]:
    try:
        padded = request.token + "=" * (-len(request.token) % 4)
        seal, *position = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise PageTokenUnknown from error
    if seal != _seal(declaration, request, position):
        raise PageTokenUnknown
    types = ordering.types_of(declaration, order)
    return tuple(
        datetime.fromisoformat(value) if kind is datetime and value is not None else value
        for kind, value in zip(types, position, strict=True)
    )


def _seal(declaration: Declaration, request: PageRequest, position: list[Any]) -> str:
    filters = sorted((name, _plain(value)) for name, value in (*request.where.items(), *request.before.items()))
    narrowed = [request.filter, request.order_by, repr(request.where_true)]
    text = json.dumps(
        [declaration.name, filters, position, *(narrowed if any(narrowed[:2]) or request.where_true else ())]
    )
    return hashlib.blake2b(text.encode(), key=SEAL, digest_size=9).hexdigest()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
