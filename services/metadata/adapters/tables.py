"""The tables, built from the declarations of the entities."""

import dataclasses
from datetime import UTC, datetime
from enum import StrEnum
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
    float: sa.Double(),
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


def _table(declaration: Declaration, metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        declaration.name,
        metadata,
        *(_column(declaration, attribute) for attribute in declaration.attributes.values()),
        *(sa.UniqueConstraint(*names) for names in declaration.unique),
        *(sa.Index(None, *names) for names in declaration.indexes),
        # A table keyed by several columns is best kept in the order of its key.
        sqlite_with_rowid=len(declaration.key) == 1,
    )


def build() -> sa.MetaData:
    """The tables of all entities."""
    metadata = sa.MetaData(naming_convention=CONVENTION)
    for declaration in ENTITIES.values():
        _table(declaration, metadata)
    return metadata


METADATA = build()
TABLES: dict[type[Any], sa.Table] = {each.kind: METADATA.tables[each.name] for each in ENTITIES.values()}
JOBS = TABLES[entities.Job]
