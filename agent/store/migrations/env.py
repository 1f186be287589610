"""What Alembic runs around each migration: the transaction is its caller's."""

from alembic import context

from agent.store.database import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
