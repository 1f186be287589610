"""Everything that is kept in the one database."""

from __future__ import annotations

import datetime as dt
from types import TracebackType
from typing import NamedTuple, Self

from agent.settings import Settings
from agent.store.batch_work import BatchWork
from agent.store.batches import Batches
from agent.store.conversations import Conversations
from agent.store.database import open_database
from agent.store.decisions import DecisionLog
from agent.store.files import Files
from agent.store.reviews import Reviews
from agent.store.tenants import Tenants


class Purged(NamedTuple):
    """How many rows a purge deleted."""

    decisions: int
    files: int
    turns: int


class Store:
    """The tables, over one engine. May be used from several threads; close it at the end, or use it in a `with`."""

    def __init__(self, settings: Settings) -> None:
        """Open the database of the settings, and bring its tables up to date.

        Raises:
            SQLAlchemyError: the database cannot be reached or changed, or was written by a later version.
            OSError: SQLite's folder cannot be made.
        """
        self.settings = settings
        self.database = open_database(settings.decision_log_url)
        self.decisions = DecisionLog(self.database, settings)
        self.reviews = Reviews(self.database, settings)
        self.tenants = Tenants(self.database)
        self.conversations = Conversations(self.database, settings)
        self.files = Files(self.database, settings)
        self.batches = Batches(self.database, settings)
        self.batch_work = BatchWork(self.database, self.files)

    def purge(self, before: dt.datetime | None = None) -> Purged:
        """Delete what is past its time: decisions and files, turns of conversations, and uploads never finished.

        `before` bounds decisions and files; by default `retention_days` does. Turns have their own `session_ttl_s`.
        """
        before = before or self.settings.oldest_kept
        decisions = 0 if before is None else self.decisions.purge(before)
        return Purged(decisions, self.batches.purge(before), self.conversations.purge())

    def close(self) -> None:
        """Give the connections back."""
        self.database.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
