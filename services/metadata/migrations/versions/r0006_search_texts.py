"""The words that records are found by, in the full-text index of each database."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from services.metadata.domain.words import MOST_IN_A_RECORD, kept, words_of

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
BATCH = 1_000
SEARCHABLE = {
    "projects": ("name",),
    "datasets": ("name", "file_name", "description"),
    "experiments": ("name", "description", "goal", "conclusion"),
    "models": ("name", "description"),
    "runs": ("name", "notes"),
    "campaigns": ("name", "description"),
    "event_contexts": ("event_name", "venue", "description"),
    "postbacks": ("prompt", "event_name"),
    "stories": ("title",),
}
KNOWN_BY = {"stories": "title", "event_contexts": "event_name", "postbacks": "event_name"}
INDEXES = {
    "postgresql": (
        "CREATE INDEX ft_search_texts_words ON search_texts USING gin (to_tsvector('simple'::regconfig, words))",
    ),
    "mysql": ("CREATE FULLTEXT INDEX ft_search_texts_words ON search_texts (words)",),
    # FTS5 knows texts by numbers that a VACUUM must not change, so they have a table of their own.
    "sqlite": (
        "CREATE TABLE search_numbers (number INTEGER PRIMARY KEY, entity TEXT NOT NULL, record_id TEXT NOT NULL, "
        "UNIQUE (entity, record_id))",
        "CREATE VIRTUAL TABLE search_index USING fts5(words, content='', tokenize='ascii', detail=none)",
        "CREATE TRIGGER search_texts_inserted AFTER INSERT ON search_texts BEGIN "
        "INSERT INTO search_numbers (entity, record_id) VALUES (new.entity, new.record_id); "
        "INSERT INTO search_index (rowid, words) SELECT number, new.words FROM search_numbers "
        "WHERE entity = new.entity AND record_id = new.record_id; END",
        "CREATE TRIGGER search_texts_updated AFTER UPDATE OF words ON search_texts WHEN old.words <> new.words BEGIN "
        "INSERT INTO search_index (search_index, rowid, words) SELECT 'delete', number, old.words FROM search_numbers "
        "WHERE entity = old.entity AND record_id = old.record_id; "
        "INSERT INTO search_index (rowid, words) SELECT number, new.words FROM search_numbers "
        "WHERE entity = new.entity AND record_id = new.record_id; END",
        "CREATE TRIGGER search_texts_deleted AFTER DELETE ON search_texts BEGIN "
        "INSERT INTO search_index (search_index, rowid, words) SELECT 'delete', number, old.words FROM search_numbers "
        "WHERE entity = old.entity AND record_id = old.record_id; "
        "DELETE FROM search_numbers WHERE entity = old.entity AND record_id = old.record_id; END",
    ),
}


def upgrade() -> None:
    """Go to this revision."""
    texts = op.create_table(
        "search_texts",
        sa.Column("entity", sa.String(32), nullable=False),
        sa.Column("record_id", sa.String(100), nullable=False),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("create_time", MOMENT, nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("entity", "record_id", name="pk_search_texts"),
        sqlite_with_rowid=False,
    )
    order = ["create_time", "entity", "record_id"]
    op.create_index("ix_search_texts_create_time_entity_record_id", "search_texts", order)
    op.create_index("ix_search_texts_user_id_create_time_entity_record_id", "search_texts", ["user_id", *order])
    for statement in INDEXES[_dialect()]:
        op.get_bind().exec_driver_sql(statement)
    for entity, names in SEARCHABLE.items():
        for rows in _texts(entity, names):
            op.bulk_insert(texts, rows)


def downgrade() -> None:
    """Go back."""
    op.drop_table("search_texts")
    if _dialect() == "sqlite":
        op.drop_table("search_index")
        op.drop_table("search_numbers")


def _dialect() -> str:
    name = op.get_context().dialect.name
    return "mysql" if name == "mariadb" else name


def _texts(entity: str, names: tuple[str, ...]) -> "Iterator[list[dict[str, Any]]]":
    """The words of the records that there are, some at a time."""
    known_by = KNOWN_BY.get(entity, "name")
    columns = [sa.column("id"), sa.column("user_id"), sa.column("create_time", MOMENT), *map(sa.column, names)]
    found = sa.select(*columns).select_from(sa.table(entity)).order_by(sa.column("id")).limit(BATCH)
    last = ""
    while rows := op.get_bind().execute(found.where(sa.column("id") > last)).mappings().all():
        yield [_text(entity, dict(row), names, known_by) for row in rows]
        last = rows[-1]["id"]


def _text(entity: str, row: "dict[str, Any]", names: tuple[str, ...], known_by: str) -> "dict[str, Any]":
    words = words_of("\n".join(row[name] for name in names))[:MOST_IN_A_RECORD]
    return {
        "entity": entity,
        "record_id": row["id"],
        "user_id": row["user_id"],
        "name": row[known_by],
        "create_time": row["create_time"],
        "words": kept(words),
    }
