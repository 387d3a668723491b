"""How PostgreSQL and MySQL write down the tables that entities and migrations describe in SQLAlchemy's plain types.

| plain type | PostgreSQL | MySQL and MariaDB |
|---|---|---|
| JSON | JSONB | JSON |
| Text | TEXT | LONGTEXT, because TEXT ends at 64 KiB |
| DateTime | TIMESTAMP WITH TIME ZONE | DATETIME(6), because DATETIME drops what is less than a second |

Texts are compared and ordered by their characters' numbers everywhere, whatever the database's own habits are: "A" is
not "a", "a" is not "a ", and a list has one order in every store.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler, MySQLTypeCompiler
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler, PGTypeCompiler
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import TypeCompiler


class PostgresTypes(PGTypeCompiler):
    """Types of PostgreSQL."""

    def visit_JSON(self, type_: Any, **_: Any) -> str:  # noqa: ARG002, N802 (SQLAlchemy's name)
        """Documents, kept taken apart."""
        return "JSONB"

    def visit_string(self, type_: sa.String, **told: Any) -> str:
        """Texts of a limited length."""
        return self._ordered(super().visit_string(type_, **told), told)

    def visit_text(self, type_: sa.Text, **told: Any) -> str:
        """Texts of any length."""
        return self._ordered(super().visit_text(type_, **told), told)

    def _ordered(self, written: str, told: dict[str, Any]) -> str:
        """In a column's definition, the text with its order."""
        return f'{written} COLLATE "C"' if isinstance(told.get("type_expression"), sa.Column) else written


class MySQLTypes(MySQLTypeCompiler):
    """Types of MySQL and MariaDB."""

    def visit_datetime(self, type_: sa.DateTime, **_: Any) -> str:  # noqa: ARG002
        """Moments, to the microsecond."""
        return "DATETIME(6)"

    def visit_text(self, type_: sa.Text, **_: Any) -> str:  # noqa: ARG002
        """Texts of any length."""
        return "LONGTEXT"


class MySQLTables(MySQLDDLCompiler):
    """Tables of MySQL and MariaDB."""

    def visit_primary_key_constraint(self, constraint: sa.PrimaryKeyConstraint, **told: Any) -> str:
        """Primary keys, which have no names of their own here."""
        constraint.name = None
        return super().visit_primary_key_constraint(constraint, **told)

    def post_create_table(self, table: sa.Table) -> str:
        """What a table is made of, and how its texts compare."""
        # The other binary collations of either take "a" and "a " for the same.
        collation = "utf8mb4_nopad_bin" if getattr(self.dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
        return f"{super().post_create_table(table)} ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {collation}"


def teach(dialect: Dialect) -> None:
    """Make a dialect write types and tables as described above."""
    types: type[TypeCompiler] = PostgresTypes if dialect.name == "postgresql" else MySQLTypes
    dialect.ddl_compiler = PGDDLCompiler if dialect.name == "postgresql" else MySQLTables
    dialect.type_compiler_instance = types(dialect)
    dialect.type_compiler = dialect.type_compiler_instance  # what Alembic asks when it changes a column
