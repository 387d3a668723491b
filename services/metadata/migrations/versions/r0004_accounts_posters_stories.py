"""Accounts, posters and stories."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Go to this revision."""
    _create_users()
    _create_sessions()
    _create_usages()
    _create_reservations()
    _create_campaigns()
    _create_event_contexts()
    _create_postbacks()
    _create_stories()


def downgrade() -> None:
    """Go back."""
    for table in ("stories", "postbacks", "event_contexts", "campaigns", "reservations", "usages", "sessions", "users"):
        op.drop_table(table)


def _record_columns() -> "list[sa.Column[Any]]":
    return [
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("create_time", MOMENT, nullable=False),
        sa.Column("update_time", MOMENT, nullable=False),
        sa.Column("etag", sa.String(32), nullable=False),
        sa.Column("request_id", sa.String(200), nullable=True),
    ]


def _create_users() -> None:
    op.create_table(
        "users",
        *_record_columns(),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("tier", sa.String(32), nullable=False),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        sa.UniqueConstraint("request_id", name="uq_users_request_id"),
    )
    op.create_index("ix_users_create_time_id", "users", ["create_time", "id"])
    op.create_index("ix_users_tier_create_time_id", "users", ["tier", "create_time", "id"])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        *_record_columns(),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("user_agent", sa.String(1024), nullable=False),
        sa.Column("ip_address", sa.String(200), nullable=False),
        sa.Column("remember_me", sa.Boolean(), nullable=False),
        sa.Column("expire_time", MOMENT, nullable=False),
        sa.Column("last_active_time", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("request_id", name="uq_sessions_request_id"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
    )
    op.create_index("ix_sessions_create_time_id", "sessions", ["create_time", "id"])
    op.create_index("ix_sessions_expire_time_create_time_id", "sessions", ["expire_time", "create_time", "id"])
    op.create_index("ix_sessions_user_id_create_time_id", "sessions", ["user_id", "create_time", "id"])


def _create_usages() -> None:
    op.create_table(
        "usages",
        *_record_columns(),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("what", sa.String(200), nullable=False),
        sa.Column("period", sa.String(200), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_usages_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_usages"),
        sa.UniqueConstraint("request_id", name="uq_usages_request_id"),
        sa.UniqueConstraint("user_id", "what", "period", name="uq_usages_user_id_what_period"),
    )
    op.create_index("ix_usages_create_time_id", "usages", ["create_time", "id"])


def _create_reservations() -> None:
    op.create_table(
        "reservations",
        *_record_columns(),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("what", sa.String(200), nullable=False),
        sa.Column("period", sa.String(200), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_reservations_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_reservations"),
        sa.UniqueConstraint("request_id", name="uq_reservations_request_id"),
    )
    op.create_index("ix_reservations_create_time_id", "reservations", ["create_time", "id"])
    op.create_index("ix_reservations_user_id", "reservations", ["user_id"])


def _create_campaigns() -> None:
    op.create_table(
        "campaigns",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("project_id", sa.String(100), nullable=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("status", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_campaigns_project_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_campaigns"),
        sa.UniqueConstraint("request_id", name="uq_campaigns_request_id"),
    )
    op.create_index("ix_campaigns_create_time_id", "campaigns", ["create_time", "id"])
    op.create_index("ix_campaigns_project_id", "campaigns", ["project_id"])
    op.create_index("ix_campaigns_user_id_create_time_id", "campaigns", ["user_id", "create_time", "id"])


def _create_event_contexts() -> None:
    op.create_table(
        "event_contexts",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("campaign_id", sa.String(100), nullable=False),
        sa.Column("event_name", sa.String(200), nullable=False),
        sa.Column("event_date", sa.String(200), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("mood", sa.String(200), nullable=False),
        sa.Column("palette", sa.JSON(), nullable=False),
        sa.Column("artists", sa.JSON(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name="fk_event_contexts_campaign_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_event_contexts"),
        sa.UniqueConstraint("campaign_id", name="uq_event_contexts_campaign_id"),
        sa.UniqueConstraint("request_id", name="uq_event_contexts_request_id"),
    )
    op.create_index("ix_event_contexts_create_time_id", "event_contexts", ["create_time", "id"])
    op.create_index("ix_event_contexts_user_id_create_time_id", "event_contexts", ["user_id", "create_time", "id"])


def _create_postbacks() -> None:
    op.create_table(
        "postbacks",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("campaign_id", sa.String(200), nullable=False),
        sa.Column("render_id", sa.String(200), nullable=False),
        sa.Column("artifact_id", sa.String(100), nullable=True),
        sa.Column("image_url", sa.String(2048), nullable=False),
        sa.Column("background_url", sa.String(2048), nullable=False),
        sa.Column("composite_url", sa.String(2048), nullable=False),
        sa.Column("size", sa.String(200), nullable=False),
        sa.Column("width", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("event_name", sa.String(200), nullable=False),
        sa.Column("event_date", sa.String(200), nullable=False),
        sa.Column("mood", sa.String(200), nullable=False),
        sa.Column("palette", sa.JSON(), nullable=False),
        sa.Column("artists", sa.JSON(), nullable=False),
        sa.Column("image_index", sa.BigInteger(), nullable=False),
        sa.Column("prompt_source", sa.String(200), nullable=False),
        sa.Column("generation_type", sa.String(200), nullable=False),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_postbacks_artifact_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_postbacks"),
        sa.UniqueConstraint("artifact_id", name="uq_postbacks_artifact_id"),
        sa.UniqueConstraint("request_id", name="uq_postbacks_request_id"),
    )
    op.create_index("ix_postbacks_campaign_id_create_time_id", "postbacks", ["campaign_id", "create_time", "id"])
    op.create_index("ix_postbacks_create_time_id", "postbacks", ["create_time", "id"])
    op.create_index("ix_postbacks_render_id_create_time_id", "postbacks", ["render_id", "create_time", "id"])
    op.create_index("ix_postbacks_user_id_create_time_id", "postbacks", ["user_id", "create_time", "id"])


def _create_stories() -> None:
    op.create_table(
        "stories",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("job_id", sa.String(200), nullable=False),
        sa.Column("dataset_id", sa.String(100), nullable=True),
        sa.Column("artifact_id", sa.String(100), nullable=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("dataset", sa.JSON(), nullable=True),
        sa.Column("narratives", sa.JSON(), nullable=True),
        sa.Column("charts", sa.JSON(), nullable=False),
        sa.Column("statistics", sa.JSON(), nullable=True),
        sa.Column("audience_level", sa.String(200), nullable=False),
        sa.Column("processing_ms", sa.BigInteger(), nullable=False),
        sa.Column("visibility", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_stories_dataset_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifacts.id"], name="fk_stories_artifact_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name="pk_stories"),
        sa.UniqueConstraint("artifact_id", name="uq_stories_artifact_id"),
        sa.UniqueConstraint("request_id", name="uq_stories_request_id"),
    )
    op.create_index("ix_stories_create_time_id", "stories", ["create_time", "id"])
    op.create_index("ix_stories_dataset_id", "stories", ["dataset_id"])
    op.create_index("ix_stories_job_id", "stories", ["job_id"])
    op.create_index("ix_stories_user_id_create_time_id", "stories", ["user_id", "create_time", "id"])
    op.create_index("ix_stories_visibility_create_time_id", "stories", ["visibility", "create_time", "id"])
