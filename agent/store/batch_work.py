"""How a batch is worked through: its lines are answered in their order, and its row counts how many are.

Answers are written in one transaction with the count, and only where that still is what it was when the lines were
read. So no line is written twice or left out, whichever process works on it and whenever one is killed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal, NamedTuple

from sqlalchemy import Engine, or_, select, update
from sqlalchemy.orm import Session

from agent.store.batches import OPEN, BatchRow
from agent.store.files import FileRow, Files, Line, changed, erase

HELD = dt.timedelta(seconds=10)  # after which a process that says no more is taken for dead


class Answer(NamedTuple):
    """To the line of the same number: for the output file, or, where it is not `ok`, for the error file."""

    line: Line
    ok: bool


class BatchWork:
    """The open batches in a database; may be used from several threads and processes."""

    def __init__(self, database: Engine, files: Files) -> None:
        self._database, self._files = database, files

    def open(self) -> list[BatchRow]:
        """Those of all tenants that are not done, oldest first."""
        query = select(BatchRow).where(BatchRow.status.in_(OPEN)).order_by(BatchRow.created_at)
        with Session(self._database) as session:
            return list(session.scalars(query))

    def take(self, name: str) -> BatchRow | None:
        """Hold a batch for `HELD`, and have it as it stands now; None where another process holds it, or it is done."""
        now = dt.datetime.now(dt.UTC)
        free = or_(BatchRow.held_until.is_(None), BatchRow.held_until < now)
        those = BatchRow.id == name, BatchRow.status.in_(OPEN), free
        with Session(self._database, expire_on_commit=False) as session, session.begin():
            if not changed(session, update(BatchRow).where(*those).values(held_until=now + HELD)):
                return None
            begun = update(BatchRow).where(BatchRow.id == name, BatchRow.status == "validating")
            session.execute(begun.values(status="in_progress", in_progress_at=now))
            return session.get_one(BatchRow, name)

    def hold(self, name: str) -> None:
        """Hold a batch that was taken for `HELD` from now."""
        self._held(name, dt.datetime.now(dt.UTC) + HELD)

    def release(self, name: str) -> None:
        """Let whoever comes first go on with it."""
        self._held(name, None)

    def _held(self, name: str, until: dt.datetime | None) -> None:
        with Session(self._database) as session, session.begin():
            session.execute(update(BatchRow).where(BatchRow.id == name).values(held_until=until))

    def write(self, batch: BatchRow, answers: Sequence[Answer]) -> bool:
        """Keep the answers to the lines behind the first `batch.done`, and hold it no longer.

        False, and nothing is kept, where another process was first.
        """
        good, bad = ([answer.line for answer in answers if answer.ok is ok] for ok in (True, False))
        here = BatchRow.id == batch.id, BatchRow.completed + BatchRow.failed == batch.done
        grown = {"completed": BatchRow.completed + len(good), "failed": BatchRow.failed + len(bad), "held_until": None}
        with Session(self._database) as session, session.begin():
            if not changed(session, update(BatchRow).where(*here).values(grown)):
                return False
            for name, lines in ((batch.output_file_id, good), (batch.error_file_id, bad)):
                if name is not None:
                    self._files.append(session, name, lines)
        return True

    def end(self, name: str, status: Literal["completed", "expired", "cancelled"]) -> None:
        """Of a batch whose every line is written: files that have lines are now seen, the others go."""
        with Session(self._database) as session, session.begin():
            ended = update(BatchRow).where(BatchRow.id == name, BatchRow.status.in_(OPEN))
            if not changed(session, ended.values(status=status, ended_at=dt.datetime.now(dt.UTC))):
                return
            batch = session.get_one(BatchRow, name)
            for column, lines in (("output_file_id", batch.completed), ("error_file_id", batch.failed)):
                if lines:
                    whole = update(FileRow).where(FileRow.id == getattr(batch, column))
                    session.execute(whole.values(status="processed"))
                else:
                    erase(session, FileRow.id == getattr(batch, column))
                    setattr(batch, column, None)
