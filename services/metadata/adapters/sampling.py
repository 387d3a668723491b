"""Series of metrics, counted and thinned out where they are, so that a million points never leave the database."""

import math
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.metadata.adapters.tables import PLAIN, TABLES
from services.metadata.domain.entities import Metric
from services.metadata.domain.ports import Series
from services.metadata.domain.sampling import LARGE, SCALE, mean_of

METRICS = TABLES[Metric]
ROOT = 71
"""Stretches are counted in two digits of this base: no database has to count far."""


async def series(connection: AsyncConnection, run_id: str, names: Collection[str], split: str) -> list[Series]:
    """The series of a run, in the order of name and split."""
    columns = METRICS.c
    value: sa.ColumnElement[float] = sa.cast(columns.value, sa.Double())
    size = sa.func.abs(columns.value)
    infinite = sa.literal(math.inf, PLAIN[float])
    small = sa.case((size <= LARGE, value), else_=0.0)
    large = sa.case((sa.and_(size > LARGE, size < infinite), value / SCALE), else_=0.0)
    told: tuple[sa.ColumnElement[Any], ...] = (
        sa.func.count(),
        sa.func.min(columns.value),
        sa.func.max(columns.value),
        sa.func.sum(small, type_=sa.Double()),
        sa.func.sum(large, type_=sa.Double()),
        sa.func.min(columns.step),
        sa.func.max(columns.step),
    )
    statement = sa.select(columns.name, columns.split, *told).where(columns.run_id == run_id)
    statement = statement.where(columns.name.in_(list(names))) if names else statement
    statement = statement.where(columns.split == split) if split else statement
    grouped = statement.group_by(columns.name, columns.split).order_by(columns.name, columns.split)
    return [_series(run_id, *row) for row in await connection.execute(grouped)]


def _series(
    run_id: str,
    name: str,
    split: str,
    count: int,
    least: float,
    largest: float,
    small: float,
    large: float,
    *steps: int,
) -> Series:
    mean = mean_of(least, largest, count, small, large)
    return Series(run_id, name, split, count, least, largest, mean, *steps)


async def peaks(connection: AsyncConnection, series: Series, width: int) -> list[Metric]:
    """The smallest and the largest of each stretch of so many steps, with the first and the last."""
    steps = {series.first_step, series.last_step}
    if width:
        rows = await connection.execute(_extremes(series, width))
        steps |= {step for row in rows for step in row if step is not None}
    wanted = METRICS.select().where(*_of(METRICS, series), METRICS.c.step.in_(sorted(steps)))
    return [Metric(*row) for row in await connection.execute(wanted.order_by(METRICS.c.step))]


def _of(table: Any, series: Series) -> "list[sa.ColumnElement[bool]]":
    return [table.c.run_id == series.run_id, table.c.name == series.name, table.c.split == series.split]


def _extremes(series: Series, width: int) -> sa.Select[Any]:
    """For each stretch the steps of its smallest and its largest value. The key leads to each stretch."""
    last = (series.last_step - series.first_step - 1) // width
    digits = sa.select(sa.literal(0, sa.BigInteger()).label("digit")).cte("digits", recursive=True)
    digits = digits.union_all(sa.select(digits.c.digit + 1).where(digits.c.digit < ROOT - 1))
    high, low = digits.alias("high"), digits.alias("low")
    number = high.c.digit * ROOT + low.c.digit
    begin = _whole(series.first_step + 1) + number * _whole(width)
    stretches = sa.select(
        begin.label("first"),
        sa.case((number == last, _whole(series.last_step)), else_=begin + _whole(width - 1)).label("last"),
    )
    stretch = stretches.select_from(sa.join(high, low, sa.true())).where(number <= last).subquery("stretches")
    return sa.select(_step(series, stretch, descending=False), _step(series, stretch, descending=True)).select_from(
        stretch
    )


def _whole(number: int) -> "sa.BindParameter[int]":
    return sa.literal(number, sa.BigInteger())


def _step(series: Series, stretch: Any, descending: bool) -> "sa.ScalarSelect[Any]":
    table = METRICS.alias("most" if descending else "least")
    found = sa.select(table.c.step).where(*_of(table, series), table.c.step.between(stretch.c.first, stretch.c.last))
    value = table.c.value.desc() if descending else table.c.value
    return found.order_by(value, table.c.step).limit(1).correlate(stretch).scalar_subquery()
