"""Alembic's migrations of the database; `agent.store.database` runs them."""
