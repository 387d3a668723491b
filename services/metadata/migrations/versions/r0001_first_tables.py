"""The first tables: projects, artifacts, datasets, models and versions, runs and metrics, jobs."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Go to this revision."""
    _create_artifacts()
    _create_jobs()
    _create_projects()
    _create_datasets()
    _create_models()
    _create_runs()
    _create_metrics()
    _create_model_versions()


def downgrade() -> None:
    """Go back to an empty database."""
    for table in ("model_versions", "metrics", "runs", "models", "datasets", "projects", "jobs", "artifacts"):
        op.drop_table(table)


def _record_columns() -> "list[sa.Column[Any]]":
    return [
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("create_time", MOMENT, nullable=False),
        sa.Column("update_time", MOMENT, nullable=False),
        sa.Column("etag", sa.String(32), nullable=False),
        sa.Column("request_id", sa.String(200), nullable=True),
    ]


def _create_artifacts() -> None:
    op.create_table(
        "artifacts",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("job_id", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("placement", sa.String(200), nullable=False),
        sa.Column("key", sa.String(1024), nullable=False),
        sa.Column("backend", sa.String(200), nullable=False),
        sa.Column("bucket", sa.String(1024), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_artifacts"),
        sa.UniqueConstraint("request_id", name="uq_artifacts_request_id"),
    )
    op.create_index("ix_artifacts_create_time_id", "artifacts", ["create_time", "id"])
    op.create_index("ix_artifacts_state_create_time_id", "artifacts", ["state", "create_time", "id"])
    op.create_index("ix_artifacts_user_id_create_time_id", "artifacts", ["user_id", "create_time", "id"])


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("step", sa.String(200), nullable=False),
        sa.Column("stage", sa.String(200), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("input", sa.JSON(), nullable=True),
        sa.Column("state", sa.JSON(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("lease_owner", sa.String(200), nullable=False),
        sa.Column("lease_expire_time", MOMENT, nullable=True),
        sa.Column("fencing_token", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("due_time", MOMENT, nullable=True),
        sa.Column("end_time", MOMENT, nullable=True),
        sa.Column("retries", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("request_id", name="uq_jobs_request_id"),
    )
    op.create_index("ix_jobs_create_time_id", "jobs", ["create_time", "id"])
    op.create_index("ix_jobs_status_create_time_id", "jobs", ["status", "create_time", "id"])
    op.create_index("ix_jobs_user_id_create_time_id", "jobs", ["user_id", "create_time", "id"])


def _create_projects() -> None:
    op.create_table(
        "projects",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("task_type", sa.String(200), nullable=False),
        sa.Column("status", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("request_id", name="uq_projects_request_id"),
        sa.UniqueConstraint("user_id", "name", name="uq_projects_user_id_name"),
    )
    op.create_index("ix_projects_create_time_id", "projects", ["create_time", "id"])
    op.create_index("ix_projects_user_id_create_time_id", "projects", ["user_id", "create_time", "id"])


def _create_datasets() -> None:
    op.create_table(
        "datasets",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("project_id", sa.String(100), nullable=True),
        sa.Column("artifact_id", sa.String(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("file_name", sa.String(1024), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("column_count", sa.BigInteger(), nullable=False),
        sa.Column("column_names", sa.JSON(), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("format", sa.JSON(), nullable=True),
        sa.Column("target_column", sa.Text(), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("status", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifacts.id"], name="fk_datasets_artifact_id", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_datasets_project_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
        sa.UniqueConstraint("artifact_id", name="uq_datasets_artifact_id"),
        sa.UniqueConstraint("request_id", name="uq_datasets_request_id"),
    )
    op.create_index("ix_datasets_create_time_id", "datasets", ["create_time", "id"])
    op.create_index("ix_datasets_project_id", "datasets", ["project_id"])
    op.create_index("ix_datasets_user_id_create_time_id", "datasets", ["user_id", "create_time", "id"])


def _create_models() -> None:
    op.create_table(
        "models",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("project_id", sa.String(100), nullable=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("latest_version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_models_project_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("request_id", name="uq_models_request_id"),
        sa.UniqueConstraint("user_id", "name", name="uq_models_user_id_name"),
    )
    op.create_index("ix_models_create_time_id", "models", ["create_time", "id"])
    op.create_index("ix_models_project_id", "models", ["project_id"])
    op.create_index("ix_models_user_id_create_time_id", "models", ["user_id", "create_time", "id"])


def _create_runs() -> None:
    op.create_table(
        "runs",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("project_id", sa.String(100), nullable=True),
        sa.Column("dataset_id", sa.String(100), nullable=True),
        sa.Column("job_id", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("engine", sa.String(200), nullable=False),
        sa.Column("hyperparameters", sa.JSON(), nullable=True),
        sa.Column("start_time", MOMENT, nullable=True),
        sa.Column("end_time", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_runs_dataset_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_runs_project_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("request_id", name="uq_runs_request_id"),
    )
    op.create_index("ix_runs_create_time_id", "runs", ["create_time", "id"])
    op.create_index("ix_runs_dataset_id", "runs", ["dataset_id"])
    op.create_index("ix_runs_job_id", "runs", ["job_id"])
    op.create_index("ix_runs_project_id", "runs", ["project_id"])
    op.create_index("ix_runs_user_id_create_time_id", "runs", ["user_id", "create_time", "id"])


def _create_metrics() -> None:
    op.create_table(
        "metrics",
        sa.Column("run_id", sa.String(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("split", sa.String(200), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("measure_time", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_metrics_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "name", "split", "step", name="pk_metrics"),
        sqlite_with_rowid=False,
    )


def _create_model_versions() -> None:
    op.create_table(
        "model_versions",
        *_record_columns(),
        sa.Column("model_id", sa.String(100), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.String(100), nullable=True),
        sa.Column("artifact_id", sa.String(100), nullable=False),
        sa.Column("dataset_id", sa.String(100), nullable=True),
        sa.Column("engine", sa.String(200), nullable=False),
        sa.Column("base_model", sa.String(1024), nullable=False),
        sa.Column("problem_type", sa.String(200), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("features", sa.JSON(), nullable=False),
        sa.Column("score_name", sa.String(200), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_model_versions_artifact_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_model_versions_dataset_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_model_versions_model_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_model_versions_run_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_model_versions"),
        sa.UniqueConstraint("artifact_id", name="uq_model_versions_artifact_id"),
        sa.UniqueConstraint("model_id", "version", name="uq_model_versions_model_id_version"),
        sa.UniqueConstraint("request_id", name="uq_model_versions_request_id"),
    )
    op.create_index("ix_model_versions_dataset_id", "model_versions", ["dataset_id"])
    op.create_index("ix_model_versions_run_id", "model_versions", ["run_id"])
