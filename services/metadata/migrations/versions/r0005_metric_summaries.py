"""What runs' metrics came to, kept beside them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PRECEDENCE = "CASE split WHEN 'test' THEN 3 WHEN 'validation' THEN 2 ELSE 1 END"
COLUMNS = "run_id, name, split, precedence, step, value"


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "metric_summaries",
        sa.Column("run_id", sa.String(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("split", sa.String(200), nullable=False),
        sa.Column("precedence", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_metric_summaries_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "name", "split", name="pk_metric_summaries"),
        sqlite_with_rowid=False,
    )
    _fill()
    op.create_index(
        "ix_metric_summaries_name_split_value_run_id", "metric_summaries", ["name", "split", "value", "run_id"]
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("metric_summaries")


def _fill() -> None:
    """From the metrics that there are: each split at its highest step, then the held-out one of those."""
    op.execute(
        f"INSERT INTO metric_summaries ({COLUMNS}) "  # noqa: S608 (our own names)
        f"SELECT m.run_id, m.name, m.split, {PRECEDENCE.replace('split', 'm.split')}, m.step, m.value FROM metrics m "
        "JOIN (SELECT run_id, name, split, MAX(step) AS step FROM metrics GROUP BY run_id, name, split) last "
        "ON m.run_id = last.run_id AND m.name = last.name AND m.split = last.split AND m.step = last.step"
    )
    op.execute(
        f"INSERT INTO metric_summaries ({COLUMNS}) "  # noqa: S608 (our own names)
        "SELECT s.run_id, s.name, '', s.precedence, s.step, s.value FROM metric_summaries s "
        "JOIN (SELECT run_id, name, MAX(precedence) AS precedence FROM metric_summaries GROUP BY run_id, name) best "
        "ON s.run_id = best.run_id AND s.name = best.name AND s.precedence = best.precedence"
    )
