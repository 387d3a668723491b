"""Runs in the order of one of their metrics, by the index of what metrics came to.

A database without statistics cannot know where to begin: with the runs, when few of them are asked for, or with the
metric's index, when there are many, of which the first ones are found soon. So it is looked first, and then told.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import Join

from services.metadata.adapters import selecting
from services.metadata.adapters.tables import TABLES
from services.metadata.domain.entities import MetricSummary, Run
from services.metadata.domain.filters import needs_metric
from services.metadata.domain.ports import Ordering, Query

RUNS = TABLES[Run]
SUMMARIES = TABLES[MetricSummary]
FEW = 3_000
"""Runs that are sorted quicker than the others are passed over."""


async def runs_by_metric(connection: AsyncConnection, query: Query, dialect: str) -> list[Any]:
    """The runs that a query asks for: those that have the metric, then the others, newest first."""
    ordering = query.order[0]
    found: list[Any] = []
    if query.after is None or query.after[0] is not None:
        few = bool(query.where) and await _are_few(connection, query)
        statement = _measured(query, ordering, dialect, few)
        found = [Run(*row) for row in await connection.execute(statement)]
    if len(found) < query.limit and not needs_metric(query.where_true, ordering.metric or ("", "")):
        statement = _others(query, ordering, dialect, query.limit - len(found))
        found += [Run(*row) for row in await connection.execute(statement)]
    return found


async def _are_few(connection: AsyncConnection, query: Query) -> bool:
    some: sa.Select[Any] = (
        sa.select(sa.literal_column("1")).select_from(RUNS).where(*selecting.equal(RUNS, query.where))
    )
    counted = sa.select(sa.func.count()).select_from(some.limit(FEW + 1).subquery())
    count: int = (await connection.execute(counted)).scalar_one()
    return count <= FEW


def _of_metric(ordering: Ordering) -> "list[sa.ColumnElement[bool]]":
    name, split = ordering.metric or ("", "")
    return selecting.equal(SUMMARIES, {"name": name, "split": split})


def _measured(query: Query, ordering: Ordering, dialect: str, few: bool) -> sa.Select[Any]:
    """Which runs they are is found in an inner statement, so that only those that are shown are read whole."""
    chosen = sa.select(SUMMARIES.c.run_id, SUMMARIES.c.value).select_from(_joined(dialect, few))
    chosen = chosen.where(*_of_metric(ordering), *selecting.conditions(Run, query, dialect))
    if query.after is not None:
        chosen = chosen.where(_beyond(query.after, ordering))
    columns = (SUMMARIES.c.value, SUMMARIES.c.run_id)
    chosen = chosen.order_by(*(each.desc() if ordering.descending else each for each in columns)).limit(query.limit)
    inner = chosen.subquery("chosen")
    shown = sa.select(RUNS).join(inner, inner.c.run_id == RUNS.c.id)
    return shown.order_by(*(each.desc() if ordering.descending else each for each in (inner.c.value, inner.c.run_id)))


def _joined(dialect: str, few: bool) -> sa.FromClause:
    linked = SUMMARIES.c.run_id == RUNS.c.id
    if dialect != "sqlite":
        return sa.join(SUMMARIES, RUNS, linked)
    return InOrder(RUNS, SUMMARIES, linked) if few else InOrder(SUMMARIES, RUNS, linked)


class InOrder(Join):
    """A join whose left side SQLite reads first."""

    inherit_cache = True


@compiles(InOrder)
def _written(join: InOrder, compiler: SQLCompiler, **told: Any) -> str:
    left, right = (compiler.process(side, **told) for side in (join.left, join.right))
    told.pop("asfrom", None)
    condition = compiler.process(join.onclause, **told) if join.onclause is not None else "1"
    return f"{left} CROSS JOIN {right} ON {condition}"


def _beyond(after: "tuple[Any, ...]", ordering: Ordering) -> "sa.ColumnElement[bool]":
    here = sa.tuple_(SUMMARIES.c.value, SUMMARIES.c.run_id)
    position = sa.tuple_(sa.literal(after[0], SUMMARIES.c.value.type), sa.literal(after[-1], SUMMARIES.c.run_id.type))
    return here < position if ordering.descending else here > position


def _others(query: Query, ordering: Ordering, dialect: str, limit: int) -> sa.Select[Any]:
    measured: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        SUMMARIES.c.run_id == RUNS.c.id, *_of_metric(ordering)
    )
    statement = RUNS.select().where(*selecting.conditions(Run, query, dialect), ~measured.exists())
    if query.after is not None and query.after[0] is None:
        times = [sa.literal(each, column.type) for each, column in zip(query.after[1:], _AGE, strict=True)]
        statement = statement.where(sa.tuple_(*_AGE) < sa.tuple_(*times))
    return statement.order_by(*(column.desc() for column in _AGE)).limit(limit)


_AGE = (RUNS.c.create_time, RUNS.c.id)
