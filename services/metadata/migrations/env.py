"""Runs the migrations on the connection it is handed, in that connection's transaction."""

from alembic import context

from services.metadata.adapters.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()
