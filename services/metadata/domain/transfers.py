"""What exports and imports have in common: which kinds of records they carry, in which batches."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from services.metadata.domain.canonical import Malformed, form_of
from services.metadata.domain.declarations import ENTITIES, Declaration
from services.metadata.domain.entities import Import
from services.metadata.domain.errors import FieldMalformed, FieldNotOneOf

MOST_RECORDS = 1000
MOST_BYTES = 1 << 20
"""Most of a batch, but for one that has a single record."""
LARGEST_RECORD = 4_000_000
"""Most bytes of a record as JSON: a message carries a little more."""

CARRIED = tuple(each for each in ENTITIES.values() if not each.derived and each.kind is not Import)
"""The kinds that are exported; what is referred to comes before what refers to it."""
PLACES = {each.name: number for number, each in enumerate(CARRIED)}
Place = tuple[int, tuple[Any, ...]]
"""Where a record is in the order of an export: its kind's number, and its key."""


@dataclass(frozen=True)
class Batch:
    """Some records of one kind, as JSON."""

    entity: str
    records: Sequence[bytes]
    position: str
    """Of the last record."""
    sha256: str


def hash_of(records: Iterable[bytes]) -> str:
    """What tells a batch that was damaged."""
    return hashlib.sha256(b"".join(records)).hexdigest()


def carried(name: str, field: str) -> Declaration:
    """The kind of this name; an InvalidInput for the request's field when there is none."""
    if name not in PLACES:
        raise FieldNotOneOf(field, value=name, choices=", ".join(PLACES))
    return CARRIED[PLACES[name]]


def key_at(declaration: Declaration, position: str, field: str) -> tuple[Any, ...]:
    """The key that a position says; an InvalidInput for the request's field when it says none."""
    try:
        return form_of(declaration.kind).key_at(position)
    except Malformed as problem:
        raise FieldMalformed(field, problem=str(problem), advice="Take it from a batch of this kind") from problem
