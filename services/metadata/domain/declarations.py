"""How an entity is declared: once, as a dataclass whose fields say what holds for them.

Tables, checks, converters and what falls with a deleted record are all read from these declarations:

    @entity("projects", unique=[("user_id", "name")])
    class Project(Record):
        user_id: str = attribute(default="", required=True, max_length=200)
        name: str = attribute(default="", required=True, max_length=200, updatable=True)
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar, dataclass_transform

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RULES = "rules"
FIXED = ("id", "create_time", "request_id")
"""Attributes that a record has from its beginning to its end."""


class OnDelete(StrEnum):
    """What becomes of a record when the one it refers to is deleted."""

    CASCADE = "CASCADE"  # it goes too
    SET_NULL = "SET NULL"  # it stays, without the reference
    RESTRICT = "RESTRICT"  # it keeps the other from being deleted


@dataclass(frozen=True)
class Reference:
    """An attribute that holds another record's id."""

    to: str
    """Name of the entity referred to."""
    on_delete: OnDelete
    owned: bool = False
    """Whether the record referred to goes when this one does."""


@dataclass(frozen=True)
class Rules:
    """What holds for an attribute besides its type."""

    required: bool = False
    max_length: int | None = None
    pattern: str | None = None
    one_of: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    updatable: bool = False
    output_only: bool = False
    """Set by the service: what a caller gives for it is not looked at."""
    unique: bool = False
    reference: Reference | None = None
    counter: bool = False
    """Changed by counting up alone: an update of the record leaves it as it is."""
    searchable: bool = False
    """Whether the record is found by the words in it."""


def attribute(*, default: Any = dataclasses.MISSING, factory: Callable[[], Any] | None = None, **rules: Any) -> Any:
    """Declare a field of an entity: its value when nothing is given, and the `Rules` that hold for it."""
    told = {RULES: Rules(**rules)}
    if factory is not None:
        return field(default_factory=factory, metadata=told)
    return field(default=default, metadata=told)


@dataclass(frozen=True)
class Attribute:
    """A declared field, its type resolved."""

    name: str
    type: Any
    """str, int, float, bool, datetime, dict, list, a StrEnum, or the dataclass of a nested message."""
    item: Any
    """The class of what a list holds; None for all else."""
    optional: bool
    rules: Rules
    empty: Callable[[], Any]
    """Makes the value it has when nothing is given."""


@dataclass(frozen=True)
class Declaration:
    """All that is declared of an entity."""

    name: str
    kind: type[Any]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    indexes: tuple[tuple[str, ...], ...]
    listed_by: tuple[str, ...]
    """Attributes it is listed by; a value is unique to a record."""
    newest_first: bool
    attributes: dict[str, Attribute]
    derived: bool = False
    """Whether all of it follows from other records, so that it is neither counted nor exported."""

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Attributes by whose words a record is found."""
        return tuple(name for name, each in self.attributes.items() if each.rules.searchable)

    @property
    def label(self) -> str:
        """What one record is called: "model version" of "model_versions", "story" of "stories"."""
        name = f"{self.name[:-3]}y" if self.name.endswith("ies") else self.name.removesuffix("s")
        return name.replace("_", " ")

    @cached_property
    def counters(self) -> frozenset[str]:
        """Attributes that are only ever counted up."""
        return frozenset(name for name, each in self.attributes.items() if each.rules.counter)

    @cached_property
    def kept(self) -> frozenset[str]:
        """Attributes that an update of the record leaves as they are."""
        return frozenset({*FIXED, *self.counters})

    @cached_property
    def references(self) -> tuple[tuple[str, Reference], ...]:
        """Attributes that refer to other records, with what they refer to."""
        found = ((name, each.rules.reference) for name, each in self.attributes.items())
        return tuple((name, reference) for name, reference in found if reference)

    @cached_property
    def dependents(self) -> tuple[tuple["Declaration", str, Reference], ...]:
        """The entities that refer to this one, by which attribute, and how."""
        return tuple(
            (other, name, reference)
            for other in ENTITIES.values()
            for name, reference in other.references
            if reference.to == self.name
        )


ENTITIES: dict[str, Declaration] = {}
"""Every entity by its name; what is referred to comes before what refers to it."""

DECLARED = "__declaration__"
T = TypeVar("T")


@dataclass_transform(field_specifiers=(attribute,), frozen_default=True)
def entity(
    name: str,
    *,
    key: tuple[str, ...] = ("id",),
    unique: Sequence[tuple[str, ...]] = (),
    indexes: Sequence[tuple[str, ...]] = (),
    listed_by: tuple[str, ...] = ("create_time", "id"),
    newest_first: bool = True,
    frozen: bool = True,
    derived: bool = False,
) -> Callable[[type[T]], type[T]]:
    """Declare a class as an entity, under the name of its table. Every attribute needs a default."""

    def declare(cls: type[T]) -> type[T]:
        kind = dataclass(frozen=frozen, slots=True)(cls)
        attributes = {each.name: each for each in _attributes(kind)}
        single = tuple((each.name,) for each in attributes.values() if each.rules.unique)
        declaration = Declaration(
            name, kind, key, (*single, *unique), tuple(indexes), listed_by, newest_first, attributes, derived
        )
        ENTITIES[name] = declaration
        _OF[kind] = declaration
        return kind

    return declare


_OF: dict[type[Any], Declaration] = {}


def of(kind: type[Any]) -> Declaration:
    """The declaration of an entity's class."""
    return _OF[kind]


def referred(kind: type[Any], name: str) -> Declaration:
    """The declaration of what an attribute of an entity refers to."""
    reference = of(kind).attributes[name].rules.reference
    if reference is None:
        raise KeyError(f"{name} of {of(kind).name} refers to nothing")
    return ENTITIES[reference.to]


def _attributes(kind: type[Any]) -> Iterator[Attribute]:
    hints = typing.get_type_hints(kind)
    for each in dataclasses.fields(kind):
        hint = hints[each.name]
        optional = isinstance(hint, types.UnionType)
        rules = each.metadata.get(RULES, Rules())
        yield Attribute(each.name, plain(hint), item_of(hint), optional, rules, _default_of(each))


def plain(hint: Any) -> Any:
    """The class that a type is, or is when it is not None."""
    if isinstance(hint, types.UnionType):
        hint = next(each for each in typing.get_args(hint) if each is not types.NoneType)
    return typing.get_origin(hint) or hint


def item_of(hint: Any) -> type[Any] | None:
    """The class of what a list holds; None for a type that is no list."""
    if typing.get_origin(hint) is not list:
        return None
    item: type[Any] = typing.get_args(hint)[0]
    return item


def _default_of(declared: "dataclasses.Field[Any]") -> Callable[[], Any]:
    if declared.default_factory is not dataclasses.MISSING:
        return declared.default_factory
    value = declared.default
    return lambda: value
