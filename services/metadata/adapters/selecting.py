"""What queries ask, in SQL. Nothing is left to be filtered or put in order here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from services.metadata.adapters import inside
from services.metadata.adapters.tables import JOBS, PLAIN, TABLES
from services.metadata.domain import declarations
from services.metadata.domain.entities import JobStatus, MetricSummary, SearchText
from services.metadata.domain.filters import COMPARE, All, Comparison, Filter, Kind, Not, Operator, Words
from services.metadata.domain.ports import Ordering, Query, Values

Condition = sa.ColumnElement[bool]
SUMMARIES = TABLES[MetricSummary]
TEXTS = TABLES[SearchText]
LARGEST_INTEGER = 2**63


def equal(table: sa.Table, where: Values) -> "list[Condition]":
    """Rows whose attributes have these values."""
    return [table.c[name] == value for name, value in where.items()]


def tally(kind: type[Any], where: Values, by: Sequence[str], through: str) -> sa.Select[Any]:
    """How many rows there are for each combination of values."""
    table = TABLES[kind]
    matching = [table.c[through].in_(_referred(kind, where, through))] if through else equal(table, where)
    columns = [table.c[name] for name in by]
    return sa.select(*columns, sa.func.count()).select_from(table).where(*matching).group_by(*columns)


def _referred(kind: type[Any], where: Values, through: str) -> sa.Select[Any]:
    target = TABLES[declarations.referred(kind, through).kind]
    return sa.select(target.c.id).where(*equal(target, where))


def select(kind: type[Any], query: Query, dialect: str) -> sa.Select[Any]:
    """The rows that a query asks for, in an order of attributes."""
    table = TABLES[kind]
    statement = table.select().where(*conditions(kind, query, dialect)).limit(query.limit)
    if query.order:
        statement = statement.where(*_beyond_all(table, query.order, query.after))
        return statement.order_by(*(_ordered(table, each, dialect) for each in query.order))
    declaration = declarations.of(kind)
    order = [table.c[name] for name in declaration.listed_by]
    if query.after is not None:
        position = sa.tuple_(*(sa.literal(each, column.type) for each, column in zip(query.after, order, strict=True)))
        here = sa.tuple_(*order)
        statement = statement.where(here < position if declaration.newest_first else here > position)
    return statement.order_by(*(column.desc() if declaration.newest_first else column for column in order))


def conditions(kind: type[Any], query: Query, dialect: str) -> "list[Condition]":
    """What has to be so, the position aside."""
    table = TABLES[kind]
    found = [*equal(table, query.where), *(table.c[name] < moment for name, moment in query.before.items())]
    return [*found, Translation(kind, dialect).of(query.where_true)] if query.where_true else found


def _ordered(table: sa.Table, ordering: Ordering, dialect: str) -> Any:
    """What is absent comes first, and last when it is descending: elsewhere than in PostgreSQL that is so by itself."""
    column = table.c[ordering.name]
    if dialect != "postgresql" or not column.nullable:
        return column.desc() if ordering.descending else column
    return column.desc().nulls_last() if ordering.descending else column.nulls_first()


def _beyond_all(
    table: sa.Table, order: Sequence[Ordering], position: "tuple[Any, ...] | None"
) -> "Iterator[Condition]":
    """Rows that come after a position, one value for each part of the order."""
    if position is None:
        return
    columns = [table.c[each.name] for each in order]
    same = [_same(column, value) for column, value in zip(columns, position, strict=True)]
    beyond = [_beyond(column, value, each) for column, value, each in zip(columns, position, order, strict=True)]
    yield sa.or_(*(sa.and_(*same[:number], each) for number, each in enumerate(beyond)))
    first, value = columns[0], position[0]
    if not first.nullable:  # said once more, in words that an index understands
        yield first <= _bound(first, value) if order[0].descending else first >= _bound(first, value)


def _bound(column: "sa.Column[Any]", value: Any) -> "sa.BindParameter[Any]":
    return sa.literal(value, column.type)


def _same(column: "sa.Column[Any]", value: Any) -> Condition:
    return column.is_(None) if value is None else column == _bound(column, value)


def _beyond(column: "sa.Column[Any]", value: Any, ordering: Ordering) -> Condition:
    if value is None:
        return sa.false() if ordering.descending else column.is_not(None)
    if not ordering.descending:
        return column > _bound(column, value)
    less = column < _bound(column, value)
    return sa.or_(less, column.is_(None)) if column.nullable else less


@dataclass(frozen=True)
class Translation:
    """Writes filters on one kind of record as one kind of database takes them.

    Every part is true or false, never unknown, so that NOT means what it says.
    """

    kind: type[Any]
    dialect: str

    def of(self, part: Filter) -> Condition:
        """A filter as a condition."""
        if isinstance(part, Comparison):
            return self._comparison(part)
        if isinstance(part, Words):
            return self._words(part)
        if isinstance(part, Not):
            return sa.not_(self.of(part.part))
        parts = [self.of(each) for each in part.parts]
        return sa.and_(*parts) if isinstance(part, All) else sa.or_(*parts)

    def _comparison(self, comparison: Comparison) -> Condition:
        target = comparison.target
        if target.kind is Kind.METRIC:
            return self._metric(comparison)
        column = TABLES[self.kind].c[target.name]
        if target.kind is Kind.LIST or target.keys:
            return inside.condition(column, comparison, self.dialect)
        if comparison.operator is Operator.PRESENT:
            filled = [column != ""] if target.kind is Kind.TEXT else []
            return sa.and_(column.is_not(None), *filled)
        return _compared(column, comparison, self.dialect)

    def _metric(self, comparison: Comparison) -> Condition:
        name, split = comparison.target.keys
        kept = SUMMARIES.alias()  # the statement around may be about the same table
        run, value = TABLES[self.kind], kept.c.value
        told = (kept.c.run_id == run.c.id, kept.c.name == name, kept.c.split == split)
        summary: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(kept).where(*told).correlate(run)
        how = comparison.operator
        if how is Operator.PRESENT or comparison.value is None:
            return ~summary.exists() if how is Operator.EQUALS else summary.exists()
        literal = _literal(comparison.value)
        if how is Operator.DIFFERS:
            return ~summary.where(value == literal).exists()
        return summary.where(COMPARE[how](value, literal)).exists()

    def _words(self, part: Words) -> Condition:
        if self.kind is SearchText:
            return _has_words(part, self.dialect)
        entity = declarations.of(self.kind).name
        found = sa.select(TEXTS.c.record_id).where(TEXTS.c.entity == entity, _has_words(part, self.dialect))
        return TABLES[self.kind].c.id.in_(found)


def _compared(column: "sa.Column[Any]", comparison: Comparison, dialect: str) -> Condition:
    how, value = comparison.operator, comparison.value
    if value is None:
        return column.is_(None) if how is Operator.EQUALS else column.is_not(None)
    if how is Operator.HAS:
        return _guarded(column, inside.contains(column, str(value), dialect))
    literal = _literal(value) if comparison.target.kind is Kind.NUMBER else _bound(column, value)
    plain: Condition = COMPARE[how](column, literal)
    if how is Operator.DIFFERS and column.nullable:
        return sa.or_(column.is_(None), plain)
    return _guarded(column, plain)


def _guarded(column: "sa.Column[Any]", plain: Condition) -> Condition:
    return sa.and_(column.is_not(None), plain) if column.nullable else plain


def _literal(value: Any) -> "sa.BindParameter[Any]":
    """A number as what it is, whatever the column is: 0.5 is less than 1 also among whole numbers."""
    if isinstance(value, int) and -LARGEST_INTEGER <= value < LARGEST_INTEGER:
        return sa.literal(value, PLAIN[int])
    return sa.literal(float(value), PLAIN[float])


def _has_words(part: Words, dialect: str) -> Condition:
    """By the full-text index of each database. Words are kept as all of them take them: letters and digits alone."""
    if dialect == "postgresql":
        simple: Any = sa.literal_column("'simple'::regconfig")
        return sa.func.to_tsvector(simple, TEXTS.c.words).op("@@")(sa.func.to_tsquery(simple, " & ".join(part.words)))
    if dialect == "sqlite":
        return sa.tuple_(TEXTS.c.entity, TEXTS.c.record_id).in_(_matching(part))
    found: Condition = mysql.match(TEXTS.c.words, against=" ".join(f"+{word}" for word in part.words)).in_boolean_mode()
    return found


INDEX = sa.table("search_index", sa.column("rowid"), sa.column("search_index"))
NUMBERS = sa.table("search_numbers", sa.column("number"), sa.column("entity"), sa.column("record_id"))


def _matching(part: Words) -> sa.Select[Any]:
    """SQLite's index knows texts by numbers."""
    found = sa.select(INDEX.c.rowid).where(INDEX.c.search_index.op("MATCH")(" AND ".join(part.words)))
    return sa.select(NUMBERS.c.entity, NUMBERS.c.record_id).where(NUMBERS.c.number.in_(found))


def _select_oldest(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    statement = JOBS.select().where(JOBS.c.kind.in_(sa.bindparam("kinds", expanding=True)), *conditions)
    return statement.order_by(JOBS.c.create_time, JOBS.c.id).limit(1)


# Two statements, because one that says "either … or" reads and sorts every job that waits.
SELECT_DUE = (
    _select_oldest(
        JOBS.c.status == JobStatus.QUEUED, sa.or_(JOBS.c.due_time.is_(None), JOBS.c.due_time <= sa.bindparam("now"))
    ),
    _select_oldest(JOBS.c.status == JobStatus.RUNNING, JOBS.c.lease_expire_time < sa.bindparam("now")),
)
LOCK_DUE = tuple(statement.with_for_update(skip_locked=True) for statement in SELECT_DUE)
