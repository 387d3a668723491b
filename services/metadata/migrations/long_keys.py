"""Unique values that are too long for an index of MySQL's, the same in every database to whoever writes them."""

from alembic import op

from services.metadata.adapters.tables import MYSQL, PREFIX, hashed_unique


def create_unique(table: str, lengths: dict[str, int]) -> None:
    """Let no two rows have the same values in these columns, of which the most characters are given."""
    columns, (unique, index) = list(lengths), _names(table, lengths)
    if op.get_context().dialect.name not in MYSQL:
        with op.batch_alter_table(table) as changed:
            changed.create_unique_constraint(unique, columns)
        return
    longest = _longest(lengths)
    op.add_column(table, hashed_unique(table, lengths)[0])
    op.create_unique_constraint(unique, table, [f"{name}_hash" if name == longest else name for name in columns])
    op.create_index(index, table, columns, mysql_length={longest: PREFIX})


def drop_unique(table: str, lengths: dict[str, int]) -> None:
    """Take it back."""
    unique, index = _names(table, lengths)
    with op.batch_alter_table(table) as changed:
        if op.get_context().dialect.name in MYSQL:
            changed.drop_index(index)
            changed.drop_constraint(unique, type_="unique")
            changed.drop_column(f"{_longest(lengths)}_hash")
        else:
            changed.drop_constraint(unique, type_="unique")


def _longest(lengths: dict[str, int]) -> str:
    return max(lengths, key=lengths.__getitem__)


def _names(table: str, lengths: dict[str, int]) -> tuple[str, str]:
    joined = "_".join(lengths)
    return f"uq_{table}_{joined}", f"ix_{table}_{joined}"
