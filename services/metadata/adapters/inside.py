"""What lies inside documents, lists and texts, in the SQL of each database. Every condition is true or false.

| | SQLite | PostgreSQL | MySQL and MariaDB |
|---|---|---|---|
| into a document | json_each, key by key | -> on JSONB | JSON_EXTRACT |
| a text in a text, in any case | GLOB with both forms of a letter | the same as a regular expression | likewise |
"""

from typing import Any

import sqlalchemy as sa

from services.metadata.adapters.tables import PLAIN
from services.metadata.domain import filters
from services.metadata.domain.filters import COMPARE, Comparison, Kind, Operator

Condition = sa.ColumnElement[bool]
SPECIAL_IN_GLOB = "*?["


def contains(text: "sa.ColumnElement[Any]", value: str, dialect: str) -> Condition:
    """Whether a text has another in it, whatever the case."""
    if dialect == "sqlite":
        return text.op("GLOB", is_comparison=True)(f"*{_glob(value)}*")
    how = "~" if dialect == "postgresql" else "REGEXP"
    return text.op(how, is_comparison=True)(sa.literal(filters.pattern(value), sa.Text()))


def _glob(value: str) -> str:
    return "".join(
        f"[{each}]" if len(each) > 1 or each in SPECIAL_IN_GLOB else each for each in filters.variants(value)
    )


def condition(column: "sa.Column[Any]", comparison: Comparison, dialect: str) -> Condition:
    """What a comparison says of what is in a list, or in a document under its keys."""
    if comparison.target.kind is Kind.LIST:
        return _list(column, comparison, dialect)
    how, value = comparison.operator, comparison.value
    into = _in_sqlite if dialect == "sqlite" else _in_postgres if dialect == "postgresql" else _in_mysql
    if how is Operator.PRESENT or value is None:
        found = into(column, comparison.target.keys, Operator.PRESENT, None, dialect)
        return sa.not_(found) if how is Operator.EQUALS else found
    if how is Operator.DIFFERS:
        return sa.not_(into(column, comparison.target.keys, Operator.EQUALS, value, dialect))
    return into(column, comparison.target.keys, how, value, dialect)


def _list(column: "sa.Column[Any]", comparison: Comparison, dialect: str) -> Condition:
    value = comparison.value
    if dialect == "sqlite":
        elements = sa.func.json_each(column).table_valued("value", name="elements")
        found = sa.select(1).select_from(elements).correlate(column.table)
        return (found if value is None else found.where(elements.c.value == value)).exists()
    if dialect == "postgresql":
        if value is None:
            return sa.func.jsonb_array_length(column) > 0
        wanted = sa.func.to_jsonb(sa.literal(value, sa.Text()))
        return sa.type_coerce(column, sa.Text()).op("@>", is_comparison=True)(wanted)
    if value is None:
        return sa.func.json_length(column) > 0
    return sa.func.json_contains(column, sa.func.json_quote(sa.literal(value, sa.Text()))) == 1


KINDS: dict[str, dict[Kind, tuple[str, ...]]] = {
    "sqlite": {Kind.TEXT: ("text",), Kind.NUMBER: ("integer", "real"), Kind.BOOL: ("true", "false")},
    "postgresql": {Kind.TEXT: ("string",), Kind.NUMBER: ("number",), Kind.BOOL: ("boolean",)},
    "mysql": {
        Kind.TEXT: ("STRING",),
        Kind.NUMBER: ("INTEGER", "UNSIGNED INTEGER", "DOUBLE", "DECIMAL"),
        Kind.BOOL: ("BOOLEAN",),
    },
}
"""What databases call the kinds of values in documents."""


def _in_sqlite(column: "sa.Column[Any]", keys: tuple[str, ...], how: Operator, value: Any, _: str) -> Condition:
    first, *others = keys
    each = _opened(column, 0)
    inside: Any = each
    right = [each.c.key == sa.literal(first, sa.Text())]
    for number, key in enumerate(others, 1):
        each = _opened(sa.case((each.c.type == "object", each.c.value), else_="{}"), number)
        inside = sa.join(inside, each, sa.true())
        right.append(each.c.key == sa.literal(key, sa.Text()))
    found: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(inside).where(*right)
    if how is Operator.PRESENT:
        found = found.where(each.c.type != "null")
    elif isinstance(value, bool):
        found = found.where(each.c.type == ("true" if value else "false"))
    else:
        kinds = KINDS["sqlite"][filters.kind_of(value)]
        found = found.where(each.c.type.in_(kinds), _compared(each.c.atom, how, value, "sqlite"))
    return found.correlate(column.table).exists()


def _opened(document: Any, number: int) -> Any:
    """What is in a document, a row each."""
    return sa.func.json_each(document).table_valued("key", "value", "type", "atom", name=f"inside_{number}")


def _in_postgres(column: "sa.Column[Any]", keys: tuple[str, ...], how: Operator, value: Any, _: str) -> Condition:
    held: Any = sa.type_coerce(column, sa.Text())
    for key in keys:
        held = held.op("->", precedence=20)(sa.literal(key, sa.Text()))
    text = held.op("#>>", precedence=20)(sa.literal_column("'{}'"))
    kind = sa.func.jsonb_typeof(held)
    if how is Operator.PRESENT:
        return sa.func.coalesce(kind != "null", sa.false())
    kinds = KINDS["postgresql"][filters.kind_of(value)]
    if isinstance(value, bool):
        compared: Condition = text == ("true" if value else "false")
    elif isinstance(value, str):
        compared = _compared(sa.collate(text, "C"), how, value, "postgresql")
    else:
        compared = _compared(sa.cast(text, sa.Double()), how, value, "postgresql")
    return sa.case((kind.in_(kinds), compared), else_=sa.false())


def _in_mysql(column: "sa.Column[Any]", keys: tuple[str, ...], how: Operator, value: Any, dialect: str) -> Condition:
    path = "$" + "".join(f'."{key}"' for key in keys)
    held = sa.func.json_extract(column, path, type_=sa.Text())
    kind = sa.func.json_type(held, type_=sa.Text())
    if how is Operator.PRESENT:
        return sa.func.coalesce(kind, "NULL", type_=sa.Text()) != "NULL"
    text = sa.func.json_unquote(held, type_=sa.Text())
    kinds = KINDS["mysql"][filters.kind_of(value)]
    if isinstance(value, bool):
        compared: Condition = text == ("true" if value else "false")
    elif isinstance(value, str):
        collation = "utf8mb4_nopad_bin" if dialect == "mariadb" else "utf8mb4_0900_bin"
        compared = _compared(sa.collate(text, collation), how, value, dialect)
    else:
        compared = _compared(held.op("+")(sa.literal_column("0.0e0")), how, value, dialect)
    return sa.case((kind.in_(kinds), compared), else_=sa.false()) == sa.true()


def _compared(held: Any, how: Operator, value: Any, dialect: str) -> Condition:
    if how is Operator.HAS:
        return contains(held, value, dialect)
    found: Condition = COMPARE[how](held, sa.literal(value, sa.Text() if isinstance(value, str) else PLAIN[float]))
    return found
