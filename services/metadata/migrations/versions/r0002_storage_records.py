"""Artifacts tell all copies, fall-back, expiry and downloads; one artifact names one object."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from services.metadata.migrations import long_keys

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
BATCH = 1000

OPTIONAL: dict[str, sa.types.TypeEngine[Any]] = {
    "project_id": sa.String(100),
    "write_time": MOMENT,
    "expire_time": MOMENT,
}
FILLED: dict[str, sa.types.TypeEngine[Any]] = {
    "copies": sa.JSON(),
    "fallback": sa.Boolean(),
    "storage_failures": sa.JSON(),
    "download_count": sa.BigInteger(),
}
INDEXES = {
    "ix_artifacts_project_id_create_time_id": ["project_id", "create_time", "id"],
    "ix_artifacts_placement_create_time_id": ["placement", "create_time", "id"],
    "ix_artifacts_state_update_time": ["state", "update_time"],
    "ix_artifacts_state_expire_time": ["state", "expire_time"],
}

ARTIFACTS = sa.table(
    "artifacts",
    *(sa.column(name, sa.String()) for name in ("id", "state", "backend", "bucket", "uri")),
    sa.column("update_time", MOMENT),
    *(sa.column(name, kind) for name, kind in (OPTIONAL | FILLED).items()),
)


def upgrade() -> None:
    """Go to this revision."""
    with op.batch_alter_table("artifacts") as table:
        for name, kind in (OPTIONAL | FILLED).items():
            table.add_column(sa.Column(name, kind, nullable=True))
    _fill()
    with op.batch_alter_table("artifacts") as table:
        for name, kind in FILLED.items():
            table.alter_column(name, existing_type=kind, nullable=False)
        for name, columns in INDEXES.items():
            table.create_index(name, columns)
        table.create_foreign_key("fk_artifacts_project_id", "projects", ["project_id"], ["id"], ondelete="SET NULL")
    long_keys.create_unique("artifacts", {"placement": 200, "key": 1024})


def downgrade() -> None:
    """Go back; what is gone counts as being deleted then."""
    gone = ARTIFACTS.c.state.in_(["deleted", "abandoned"])
    op.execute(ARTIFACTS.update().where(gone).values(state="deleting"))
    long_keys.drop_unique("artifacts", {"placement": 200, "key": 1024})
    with op.batch_alter_table("artifacts") as table:
        table.drop_constraint("fk_artifacts_project_id", type_="foreignkey")
        for name in INDEXES:
            table.drop_index(name)
        for name in OPTIONAL | FILLED:
            table.drop_column(name)


def _fill() -> None:
    """What was written is where its record says, and nowhere else."""
    nothing = {"copies": [], "fallback": False, "storage_failures": [], "download_count": 0}
    op.execute(ARTIFACTS.update().values(nothing))
    op.execute(ARTIFACTS.update().where(ARTIFACTS.c.backend != "").values(write_time=ARTIFACTS.c.update_time))
    connection = op.get_bind()
    place = ARTIFACTS.c["id", "backend", "bucket", "uri"]
    written = connection.execute(sa.select(*place).where(ARTIFACTS.c.backend != "")).all()
    wanted = ARTIFACTS.update().where(ARTIFACTS.c.id == sa.bindparam("the_id")).values(copies=sa.bindparam("copies"))
    for start in range(0, len(written), BATCH):
        connection.execute(wanted, [_copy(row) for row in written[start : start + BATCH]])


def _copy(row: "sa.Row[Any]") -> dict[str, Any]:
    return {"the_id": row.id, "copies": [{"backend": row.backend, "bucket": row.bucket, "uri": row.uri}]}
