"""Alembic's migrations of the database; `agent.database` runs them."""
