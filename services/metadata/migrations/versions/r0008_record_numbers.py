"""Whole numbers for records."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "record_counters",
        *_record_columns(),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_record_counters"),
        sa.UniqueConstraint("request_id", name="uq_record_counters_request_id"),
    )
    op.create_index("ix_record_counters_create_time_id", "record_counters", ["create_time", "id"])
    op.create_table(
        "record_numbers",
        *_record_columns(),
        sa.Column("entity", sa.String(200), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_record_numbers"),
        sa.UniqueConstraint("request_id", name="uq_record_numbers_request_id"),
        sa.UniqueConstraint("entity", "number", name="uq_record_numbers_entity_number"),
        sa.UniqueConstraint("entity", "record_id", name="uq_record_numbers_entity_record_id"),
    )
    op.create_index("ix_record_numbers_create_time_id", "record_numbers", ["create_time", "id"])


def downgrade() -> None:
    """Go back."""
    op.drop_table("record_numbers")
    op.drop_table("record_counters")


def _record_columns() -> "list[sa.Column[Any]]":
    return [
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("create_time", MOMENT, nullable=False),
        sa.Column("update_time", MOMENT, nullable=False),
        sa.Column("etag", sa.String(32), nullable=False),
        sa.Column("request_id", sa.String(200), nullable=True),
    ]
