"""Statements that carry records from one database to another: reads in the order of keys, and writes in bulk."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.metadata.adapters.tables import TABLES
from services.metadata.domain import declarations

Rows = list[dict[str, Any]]
Write = Callable[[sa.Executable, Rows], Awaitable[int]]


def beyond(kind: type[Any], after: tuple[Any, ...] | None) -> Iterator[sa.Select[Any]]:
    """What comes after a key: the rest of what begins like it, then the rest of what begins a little less so.

    Not every database looks a comparison of several columns at once up in its index.
    """
    table = TABLES[kind]
    columns = [table.c[name] for name in declarations.of(kind).key]
    ordered = table.select().order_by(*columns)
    if after is None:
        yield ordered
        return
    for last in reversed(range(len(columns))):
        same = (column == value for column, value in zip(columns[:last], after, strict=False))
        yield ordered.where(*same, columns[last] > after[last])


async def load(connection: AsyncConnection, write: Write, kind: type[Any], records: Sequence[Any]) -> None:
    """Write records that have an id: those that are there already one over the other, all others in bulk."""
    ids = [record.id for record in records]
    there = set((await connection.execute(_SELECT_IDS[kind], {"ids": ids})).scalars())
    rows = [{name: getattr(record, name) for name in declarations.of(kind).attributes} for record in records]
    if there:
        await write(_REPLACE[kind], [{**row, "the_id": row["id"]} for row in rows if row["id"] in there])
    if len(there) < len(rows):
        await write(_INSERT[kind], [row for row in rows if row["id"] not in there])


def _replace(table: sa.Table) -> sa.Update:
    values: dict[str, Any] = {column.name: sa.bindparam(column.name) for column in table.c if column.name != "id"}
    return table.update().where(table.c.id == sa.bindparam("the_id")).values(values)


_KNOWN_BY_ID = {kind: table for kind, table in TABLES.items() if "id" in table.c}
_SELECT_IDS = {
    kind: sa.select(table.c.id).where(table.c.id.in_(sa.bindparam("ids", expanding=True)))
    for kind, table in _KNOWN_BY_ID.items()
}
_INSERT = {kind: table.insert() for kind, table in _KNOWN_BY_ID.items()}
_REPLACE = {kind: _replace(table) for kind, table in _KNOWN_BY_ID.items()}
