"""Datasets tell what they are: tables or archives."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision; every dataset so far is a table."""
    with op.batch_alter_table("datasets") as table:
        table.add_column(sa.Column("kind", sa.String(200), nullable=False, server_default="table"))
    with op.batch_alter_table("datasets") as table:
        table.alter_column("kind", existing_type=sa.String(200), existing_nullable=False, server_default=None)


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("datasets") as table:
        table.drop_column("kind")
