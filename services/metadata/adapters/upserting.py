"""Rows that are written over those of their keys."""

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

from sqlalchemy.dialects import mysql, postgresql, sqlite

from services.metadata.adapters.tables import TABLES
from services.metadata.domain.entities import MetricSummary, SearchText

TEXTS = TABLES[SearchText]
SUMMARIES = TABLES[MetricSummary]
NAMES = SUMMARIES.columns.keys()
KEY = [column.name for column in SUMMARIES.primary_key]
values_of = attrgetter(*NAMES)
KEEP_HIGHER = (
    f"ON CONFLICT ({', '.join(KEY)}) DO UPDATE "
    "SET precedence = excluded.precedence, step = excluded.step, value = excluded.value "
    "WHERE (excluded.precedence, excluded.step) >= (metric_summaries.precedence, metric_summaries.step)"
)
"""How SQLite and PostgreSQL keep the summary of the higher rank."""


@lru_cache
def put_text(dialect: str) -> Any:
    """The statement that writes the words of a record."""
    rest = [column.name for column in TEXTS.c if not column.primary_key]
    if dialect in ("mysql", "mariadb"):
        into = mysql.insert(TEXTS)
        return into.on_duplicate_key_update({name: into.inserted[name] for name in rest})
    insert = sqlite.insert(TEXTS) if dialect == "sqlite" else postgresql.insert(TEXTS)
    return insert.on_conflict_do_update(
        index_elements=list(TEXTS.primary_key), set_={name: insert.excluded[name] for name in rest}
    )


def rows_of(summaries: Sequence[MetricSummary]) -> list[tuple[Any, ...]]:
    """Summaries as drivers take them."""
    return list(map(values_of, summaries))
