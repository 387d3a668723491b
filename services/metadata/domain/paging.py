"""Lists a page at a time. A page token holds the position where the next page begins, and for which list."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from services.metadata.domain import declarations
from services.metadata.domain.declarations import Declaration
from services.metadata.domain.errors import FieldMalformed, PageTokenUnknown
from services.metadata.domain.ports import Query, Reader, Values

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


async def find_page(reader: Reader, kind: type[E], request: PageRequest, sizes: Sizes = Sizes()) -> Page[E]:
    """One page of a list; an InvalidInput for an impossible size or a token that this list did not give."""
    declaration = declarations.of(kind)
    size = _size(request.size, sizes)
    after = _position(declaration, request) if request.token else None
    found = await reader.find(kind, Query(request.where, request.before, after, size + 1))
    token = _token(declaration, request, found[size - 1]) if len(found) > size else ""
    return Page(found[:size], token)


def _size(asked: int, sizes: Sizes) -> int:
    if not 0 <= asked <= sizes.most:
        raise FieldMalformed("page_size", problem=str(asked), advice=f"It is 0 to {sizes.most}")
    return asked or sizes.usual


def _token(declaration: Declaration, request: PageRequest, last: Any) -> str:
    position = [_plain(getattr(last, name)) for name in declaration.listed_by]
    text = json.dumps([_seal(declaration, request, position), *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(declaration: Declaration, request: PageRequest) -> tuple[Any, ...]:
    try:
        padded = request.token + "=" * (-len(request.token) % 4)
        seal, *position = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise PageTokenUnknown from error
    if seal != _seal(declaration, request, position):
        raise PageTokenUnknown
    types = (declaration.attributes[name].type for name in declaration.listed_by)
    return tuple(
        datetime.fromisoformat(value) if kind is datetime else value
        for kind, value in zip(types, position, strict=True)
    )


def _seal(declaration: Declaration, request: PageRequest, position: list[Any]) -> str:
    filters = sorted((name, _plain(value)) for name, value in (*request.where.items(), *request.before.items()))
    text = json.dumps([declaration.name, filters, position])
    return hashlib.blake2b(text.encode(), key=SEAL, digest_size=9).hexdigest()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
