"""Working through a batch: its lines are judged in order, and its row counts them.

Answers and count are written in one transaction, and only if the count has not changed since the lines were read. So
no line is written twice or left out, whichever process works on it and whenever one is killed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal, NamedTuple

from sqlalchemy import Engine, or_, select, update
from sqlalchemy.orm import Session

from agent.store.batches import OPEN, BatchRow
from agent.store.files import FileRow, Files, Line, changed, erase

HELD = dt.timedelta(seconds=10)  # a process that does not renew its hold in time is presumed dead


class Answer(NamedTuple):
    """The answer to the line of the same number: for the output file, or for the error file if it is not `ok`."""

    line: Line
    ok: bool


class BatchWork:
    """The open batches in a database; may be used from several threads and processes."""

    def __init__(self, database: Engine, files: Files) -> None:
        self._database, self._files = database, files

    def open(self) -> list[BatchRow]:
        """The unfinished batches of all tenants, oldest first."""
        query = select(BatchRow).where(BatchRow.status.in_(OPEN)).order_by(BatchRow.created_at)
        with Session(self._database) as session:
            return list(session.scalars(query))

    def take(self, name: str) -> BatchRow | None:
        """Hold a batch for `HELD` and return its present state; None if another process holds it, or it is done."""
        now = dt.datetime.now(dt.UTC)
        free = or_(BatchRow.held_until.is_(None), BatchRow.held_until < now)
        free_one = BatchRow.id == name, BatchRow.status.in_(OPEN), free
        with Session(self._database, expire_on_commit=False) as session, session.begin():
            if not changed(session, update(BatchRow).where(*free_one).values(held_until=now + HELD)):
                return None
            begun = update(BatchRow).where(BatchRow.id == name, BatchRow.status == "validating")
            session.execute(begun.values(status="in_progress", in_progress_at=now))
            return session.get_one(BatchRow, name)

    def hold(self, name: str) -> None:
        """Hold a batch for another `HELD`."""
        self._held(name, dt.datetime.now(dt.UTC) + HELD)

    def release(self, name: str) -> None:
        """Let any process continue with it."""
        self._held(name, None)

    def _held(self, name: str, until: dt.datetime | None) -> None:
        with Session(self._database) as session, session.begin():
            session.execute(update(BatchRow).where(BatchRow.id == name).values(held_until=until))

    def write(self, batch: BatchRow, answers: Sequence[Answer]) -> bool:
        """Write the answers to the lines after the first `batch.done`, and release the batch.

        Returns False and writes nothing if another process was first.
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
        """End a batch whose lines are all written: files with lines become visible, empty ones are deleted."""
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
