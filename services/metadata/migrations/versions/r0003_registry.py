"""Experiments and predictions; models, versions, datasets and runs tell all that a registry keeps."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)

Types = dict[str, sa.types.TypeEngine[Any]]
Filled = dict[str, tuple[sa.types.TypeEngine[Any], Any]]

TEXT: dict[str, tuple[str, ...]] = {
    "datasets": ("description", "uri"),
    "models": ("description",),
    "runs": ("notes", "error"),
    "model_versions": ("description", "uri"),
}
DOCUMENTS: dict[str, tuple[str, ...]] = {
    "datasets": ("splits", "tags"),
    "models": ("config", "tags"),
    "runs": ("environment", "tags"),
    "model_versions": ("config", "tags"),
}
WORDS: dict[str, dict[str, int]] = {
    "models": {"kind": 200, "framework": 200},
    "runs": {"base_version_id": 100},
    "model_versions": {"status": 200},
}
FIRST = {"status": "ready"}
"""What is in a new column at first, where that is not nothing."""
NUMBERS: dict[str, tuple[str, ...]] = {"runs": ("planned_epochs",), "model_versions": ("file_size",)}
OPTIONAL: dict[str, dict[str, int]] = {
    "runs": {"experiment_id": 100, "model_id": 100},
    "model_versions": {"label": 200},
}
OWNERS = ("datasets", "model_versions")
"""They need no longer have an artifact."""
COLUMNS = ("id", "artifact_id", "dataset_id", "status")
REFERENCES = {"experiment_id": "experiments", "model_id": "models"}
"""Of runs."""
INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "models": (("project_id", "create_time", "id"),),
    "runs": (
        ("project_id", "create_time", "id"),
        ("experiment_id", "create_time", "id"),
        ("model_id", "create_time", "id"),
        ("dataset_id", "create_time", "id"),
        ("status", "create_time", "id"),
        ("start_time",),
    ),
    "model_versions": (("status",),),
}
REPLACED: dict[str, tuple[str, ...]] = {"models": ("project_id",), "runs": ("project_id", "dataset_id")}
"""Columns with an index of their own, which a longer one does as well."""


def upgrade() -> None:
    """Go to this revision."""
    _create_experiments()
    for name in TEXT:
        _widen(name)
    _link_runs()
    with op.batch_alter_table("model_versions") as versions:
        versions.create_unique_constraint("uq_model_versions_model_id_label", ["model_id", "label"])
    for owner in OWNERS:
        with op.batch_alter_table(owner) as table:
            table.alter_column("artifact_id", existing_type=sa.String(100), nullable=True)
    _create_predictions()
    _create_experiment_runs()


def downgrade() -> None:
    """Go back; what has no artifact cannot be kept then."""
    op.drop_table("experiment_runs")
    op.drop_table("predictions")
    _remove_without_artifact()
    for owner in OWNERS:
        with op.batch_alter_table(owner) as table:
            table.alter_column("artifact_id", existing_type=sa.String(100), nullable=False)
    with op.batch_alter_table("model_versions") as versions:
        versions.drop_constraint("uq_model_versions_model_id_label", type_="unique")
    with op.batch_alter_table("runs") as runs:
        for name in REFERENCES:
            runs.drop_constraint(f"fk_runs_{name}", type_="foreignkey")
    for name in reversed(TEXT):
        _narrow(name)
    op.drop_table("experiments")


def _filled(table: str) -> Filled:
    """The new columns that always have a value, with the one that what is there gets."""
    texts: Filled = {name: (sa.Text(), "") for name in TEXT[table]}
    words: Filled = {name: (sa.String(length), FIRST.get(name, "")) for name, length in WORDS.get(table, {}).items()}
    numbers: Filled = {name: (sa.BigInteger(), 0) for name in NUMBERS.get(table, ())}
    return texts | words | numbers


def _optional(table: str) -> Types:
    documents: Types = {name: sa.JSON() for name in DOCUMENTS[table]}
    return documents | {name: sa.String(length) for name, length in OPTIONAL.get(table, {}).items()}


def _widen(name: str) -> None:
    filled = _filled(name)
    with op.batch_alter_table(name) as table:
        for column, kind in (_optional(name) | {each: kind for each, (kind, _) in filled.items()}).items():
            table.add_column(sa.Column(column, kind, nullable=True))
    columns = (sa.column(each, kind) for each, (kind, _) in filled.items())
    op.execute(sa.table(name, *columns).update().values({each: value for each, (_, value) in filled.items()}))
    with op.batch_alter_table(name) as table:
        for column, (kind, _) in filled.items():
            table.alter_column(column, existing_type=kind, nullable=False)
        for names in INDEXES.get(name, ()):
            table.create_index(f"ix_{name}_{'_'.join(names)}", list(names))
    for column in REPLACED.get(name, ()):
        op.drop_index(f"ix_{name}_{column}", name)


def _narrow(name: str) -> None:
    for column in REPLACED.get(name, ()):
        op.create_index(f"ix_{name}_{column}", name, [column])
    with op.batch_alter_table(name) as table:
        for names in INDEXES.get(name, ()):
            table.drop_index(f"ix_{name}_{'_'.join(names)}")
        for column in (*_filled(name), *_optional(name)):
            table.drop_column(column)


def _link_runs() -> None:
    with op.batch_alter_table("runs") as runs:
        for name, target in REFERENCES.items():
            runs.create_foreign_key(f"fk_runs_{name}", target, [name], ["id"], ondelete="SET NULL")


def _remove_without_artifact() -> None:
    """Also what the older program would not understand."""
    tables = {name: sa.table(name, *(sa.column(each) for each in COLUMNS)) for name in (*OWNERS, "runs")}
    datasets, versions, runs = tables.values()
    op.execute(versions.delete().where(versions.c.artifact_id.is_(None)))
    lost = sa.select(datasets.c.id).where(datasets.c.artifact_id.is_(None))
    for table in (versions, runs):
        op.execute(table.update().where(table.c.dataset_id.in_(lost)).values(dataset_id=None))
    op.execute(datasets.delete().where(datasets.c.artifact_id.is_(None)))
    op.execute(runs.update().where(runs.c.status == "queued").values(status="running"))


def _record_columns() -> "list[sa.Column[Any]]":
    return [
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("create_time", MOMENT, nullable=False),
        sa.Column("update_time", MOMENT, nullable=False),
        sa.Column("etag", sa.String(32), nullable=False),
        sa.Column("request_id", sa.String(200), nullable=True),
    ]


def _create_experiments() -> None:
    op.create_table(
        "experiments",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("project_id", sa.String(100), nullable=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("goal", sa.Text(), nullable=False),
        sa.Column("conclusion", sa.Text(), nullable=False),
        sa.Column("status", sa.String(200), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_experiments_project_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_experiments"),
        sa.UniqueConstraint("request_id", name="uq_experiments_request_id"),
        sa.UniqueConstraint("user_id", "name", name="uq_experiments_user_id_name"),
    )
    op.create_index("ix_experiments_create_time_id", "experiments", ["create_time", "id"])
    op.create_index("ix_experiments_project_id_create_time_id", "experiments", ["project_id", "create_time", "id"])
    op.create_index("ix_experiments_user_id_create_time_id", "experiments", ["user_id", "create_time", "id"])


def _create_predictions() -> None:
    op.create_table(
        "predictions",
        *_record_columns(),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("model_id", sa.String(100), nullable=False),
        sa.Column("model_version_id", sa.String(100), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=True),
        sa.Column("outputs", sa.JSON(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.Column("predict_time", MOMENT, nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("actual", sa.JSON(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_predictions_model_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name="fk_predictions_model_version_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_predictions"),
        sa.UniqueConstraint("request_id", name="uq_predictions_request_id"),
    )
    op.create_index("ix_predictions_model_id_predict_time_id", "predictions", ["model_id", "predict_time", "id"])
    op.create_index(
        "ix_predictions_model_version_id_predict_time_id", "predictions", ["model_version_id", "predict_time", "id"]
    )
    op.create_index("ix_predictions_predict_time_id", "predictions", ["predict_time", "id"])
    op.create_index("ix_predictions_user_id_predict_time_id", "predictions", ["user_id", "predict_time", "id"])


def _create_experiment_runs() -> None:
    op.create_table(
        "experiment_runs",
        *_record_columns(),
        sa.Column("experiment_id", sa.String(100), nullable=False),
        sa.Column("run_id", sa.String(100), nullable=False),
        sa.Column("variant", sa.String(200), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name="fk_experiment_runs_experiment_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_experiment_runs_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_experiment_runs"),
        sa.UniqueConstraint("experiment_id", "run_id", name="uq_experiment_runs_experiment_id_run_id"),
        sa.UniqueConstraint("request_id", name="uq_experiment_runs_request_id"),
    )
    op.create_index("ix_experiment_runs_create_time_id", "experiment_runs", ["create_time", "id"])
    op.create_index(
        "ix_experiment_runs_experiment_id_create_time_id", "experiment_runs", ["experiment_id", "create_time", "id"]
    )
    op.create_index("ix_experiment_runs_run_id", "experiment_runs", ["run_id"])
