"""The tables, built from the declarations of the entities."""

import dataclasses
import math
import sys
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from services.metadata.domain import entities
from services.metadata.domain.declarations import ENTITIES, Attribute, Declaration

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
WORD = 32
"""Most characters of a word from a fixed set."""
MYSQL = ("mysql", "mariadb")
LONGEST_KEY = 3072
"""Most bytes of an index of MySQL's, at four a character."""
PREFIX = 500
"""Characters of a long column by which MySQL looks it up."""
LARGEST = sys.float_info.max
LARGEST_BUT_ONE = math.nextafter(LARGEST, 0)


class Moment(sa.types.TypeDecorator[datetime]):
    """A time in UTC, to the microsecond. Databases without time zones keep it without one."""

    impl = sa.DateTime
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, as the domain has it, to how the database keeps it."""
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Back to aware."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


@lru_cache(maxsize=10_000)  # metrics of one batch are often of one time
def written(moment: datetime) -> str:
    """A time as Moment has it kept where there are no time zones, as text."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


class Finite(sa.types.TypeDecorator[float]):
    """A number where the database knows no infinity: the largest number stands for it, the next one for itself."""

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: float | None, _: Dialect) -> float | None:
        """To how the database keeps it."""
        return None if value is None else as_finite(value)

    def process_result_value(self, value: float | None, _: Dialect) -> float | None:
        """Back to what it was."""
        return math.copysign(math.inf, value) if value is not None and abs(value) == LARGEST else value


def as_finite(value: float) -> float:
    """A number that is no infinity, for a database that knows none."""
    if abs(value) < LARGEST:
        return value
    return math.copysign(LARGEST if math.isinf(value) else LARGEST_BUT_ONE, value)


class Word(sa.types.TypeDecorator[StrEnum]):
    """One of a fixed set of words."""

    impl = sa.String
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__(WORD)
        self.kind = kind

    def process_result_value(self, value: str | None, _: Dialect) -> StrEnum | None:
        """Text back to the word."""
        return None if value is None else self.kind(value)


class Document(sa.types.TypeDecorator[Any]):
    """A dictionary, a list, a nested message or a list of them, as JSON."""

    impl = sa.JSON
    cache_ok = True

    def __init__(self, kind: type[Any], item: type[Any] | None = None) -> None:
        super().__init__(none_as_null=True)
        self.kind = kind
        self.item = item

    def process_bind_param(self, value: Any, _: Dialect) -> Any:
        """Nested messages to dictionaries."""
        if value is not None and dataclasses.is_dataclass(self.item):
            return [dataclasses.asdict(each) for each in value]
        return dataclasses.asdict(value) if dataclasses.is_dataclass(self.kind) and value is not None else value

    def process_result_value(self, value: Any, _: Dialect) -> Any:
        """Back to nested messages."""
        if value is not None and self.item is not None and dataclasses.is_dataclass(self.item):
            return [self.item(**each) for each in value]
        return self.kind(**value) if dataclasses.is_dataclass(self.kind) and value is not None else value


PLAIN: dict[type[Any], sa.types.TypeEngine[Any]] = {
    bool: sa.Boolean(),
    int: sa.BigInteger(),
    float: sa.Double().with_variant(Finite(), *MYSQL),
    datetime: Moment(),
}


def type_of(attribute: Attribute) -> sa.types.TypeEngine[Any]:
    """The column type of an attribute."""
    kind = attribute.type
    if kind is str:
        limit = attribute.rules.max_length
        return sa.Text() if limit is None else sa.String(limit)
    if issubclass(kind, StrEnum):
        return Word(kind)
    return PLAIN.get(kind) or Document(kind, attribute.item)


def _column(declaration: Declaration, attribute: Attribute) -> "sa.Column[Any]":
    reference = attribute.rules.reference
    links = [sa.ForeignKey(f"{reference.to}.id", ondelete=reference.on_delete.value)] if reference else []
    return sa.Column(
        attribute.name,
        type_of(attribute),
        *links,
        primary_key=attribute.name in declaration.key,
        nullable=attribute.optional,
        autoincrement=False,
    )


def _table(declaration: Declaration, metadata: sa.MetaData, dialect: str) -> sa.Table:
    return sa.Table(
        declaration.name,
        metadata,
        *(_column(declaration, attribute) for attribute in declaration.attributes.values()),
        *(rule for names in declaration.unique for rule in _unique(declaration, names, dialect)),
        *(sa.Index(None, *names) for names in declaration.indexes),
        # A table keyed by several columns is best kept in the order of its key.
        sqlite_with_rowid=len(declaration.key) == 1,
    )


def _unique(declaration: Declaration, names: tuple[str, ...], dialect: str) -> "list[sa.schema.SchemaItem]":
    lengths = {name: declaration.attributes[name].rules.max_length or 0 for name in names}
    if dialect not in MYSQL or 4 * sum(lengths.values()) <= LONGEST_KEY:
        return [sa.UniqueConstraint(*names)]
    return list(hashed_unique(declaration.name, lengths))


def hashed_unique(table: str, lengths: "dict[str, int]") -> "tuple[sa.Column[bytes], sa.UniqueConstraint, sa.Index]":
    """How MySQL keeps values unique that are too long for an index: by a hash of the longest, which it keeps itself.

    The last of the three is for finding them by what they are.
    """
    longest = max(lengths, key=lengths.__getitem__)
    joined = "_".join(lengths)
    made = sa.Computed(f"unhex(sha2(`{longest}`,256))", persisted=True)
    hashed = sa.Column(f"{longest}_hash", sa.BINARY(32), made)
    by = [f"{longest}_hash" if name == longest else name for name in lengths]
    unique = sa.UniqueConstraint(*by, name=f"uq_{table}_{joined}")
    return hashed, unique, sa.Index(f"ix_{table}_{joined}", *lengths, mysql_length={longest: PREFIX})


def build(dialect: str = "") -> sa.MetaData:
    """The tables of all entities, as one kind of database has them, or as programs see them."""
    metadata = sa.MetaData(naming_convention=CONVENTION)
    for declaration in ENTITIES.values():
        _table(declaration, metadata, dialect)
    return metadata


METADATA = build()
TABLES: dict[type[Any], sa.Table] = {each.kind: METADATA.tables[each.name] for each in ENTITIES.values()}
JOBS = TABLES[entities.Job]
FIELDS_OF = {
    **{f"pk_{each.name}": each.key for each in ENTITIES.values()},
    **{f"uq_{each.name}_{'_'.join(names)}": names for each in ENTITIES.values() for names in each.unique},
}
"""Which fields a constraint is about, by its name."""
