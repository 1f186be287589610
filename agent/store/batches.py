"""Batches: files of requests that are answered beside live traffic, and what callers do with them."""

from __future__ import annotations

import datetime as dt
import uuid

from sqlalchemy import JSON, DateTime, Engine, Index, String, and_, delete, false, func, or_, select, union_all, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.settings import Settings
from agent.store.batch_lines import Endpoint
from agent.store.database import Base
from agent.store.files import BulkError, FileRow, changed, erase, lock, new_file, newest

WINDOW = dt.timedelta(hours=24)
MOST_OPEN = 20  # batches of a tenant that are not done
BROKEN_OFF = dt.timedelta(days=1)  # after which an upload that is not whole is deleted
OPEN = ("validating", "in_progress", "cancelling")


class BatchRow(Base):
    """`completed + failed` lines are written, the first ones of the input file."""

    __tablename__ = "batches"
    __table_args__ = (Index("ix_batches_tenant", "tenant", "created_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    status: Mapped[str] = mapped_column(String(16), index=True, default="validating")
    endpoint: Mapped[str] = mapped_column(String(64))
    notes: Mapped[dict[str, str] | None] = mapped_column("metadata", JSON(none_as_null=True))
    input_file_id: Mapped[str] = mapped_column(String(64))
    output_file_id: Mapped[str | None] = mapped_column(String(64))
    error_file_id: Mapped[str | None] = mapped_column(String(64))
    total: Mapped[int]
    completed: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    in_progress_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    cancelling_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    held_until: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))

    @property
    def done(self) -> int:
        return self.completed + self.failed


class Batches:
    """The batches in a database; may be used from several threads."""

    def __init__(self, database: Engine, settings: Settings) -> None:
        self._database, self._most_waiting = database, settings.batch_waiting_lines

    def create(self, tenant: str, file: FileRow, endpoint: Endpoint, notes: dict[str, str] | None) -> BatchRow:
        """A batch of an input file of the tenant's own.

        Raises:
            BulkError: too many lines or batches of the tenant wait, or the file has just been deleted.
        """
        now, name = dt.datetime.now(dt.UTC), f"batch_{uuid.uuid4().hex}"
        output, errors = (new_file(tenant, f"{name}_{kind}.jsonl", "batch_output") for kind in ("output", "error"))
        batch = BatchRow(
            id=name, tenant=tenant, created_at=now, endpoint=endpoint, notes=notes, input_file_id=file.id,
            output_file_id=output.id, error_file_id=errors.id, total=file.lines, expires_at=now + WINDOW,
        )  # fmt: skip
        with Session(self._database, expire_on_commit=False) as session, session.begin():
            lock(session, file.id)
            left = func.coalesce(func.sum(BatchRow.total - BatchRow.completed - BatchRow.failed), 0)
            waiting = select(func.count(), left).where(BatchRow.tenant == tenant, BatchRow.status.in_(OPEN))
            batches, lines = session.execute(waiting).one()
            if batches >= MOST_OPEN or lines + file.lines > self._most_waiting:
                waits = f"{batches} batches of yours wait with {lines} lines"
                raise BulkError(f"{waits}; {MOST_OPEN} with {self._most_waiting} may", "too_many_waiting")
            session.add_all([output, errors, batch])
        return batch

    def find(self, tenant: str, name: str) -> BatchRow | None:
        """A batch of the tenant's own."""
        with Session(self._database) as session:
            return session.scalar(select(BatchRow).where(BatchRow.tenant == tenant, BatchRow.id == name))

    def listed(self, tenant: str, after: str | None, limit: int) -> list[BatchRow]:
        """As `newest`."""
        with Session(self._database) as session:
            return newest(session, BatchRow, tenant, after, limit)

    def cancel(self, tenant: str, name: str) -> bool:
        """Answer no further line of it; says whether it was still open."""
        those = BatchRow.tenant == tenant, BatchRow.id == name, BatchRow.status.in_(OPEN)
        when = func.coalesce(BatchRow.cancelling_at, dt.datetime.now(dt.UTC))
        with Session(self._database) as session, session.begin():
            query = update(BatchRow).where(*those).values(status="cancelling", cancelling_at=when)
            return changed(session, query)

    def delete(self, file: FileRow) -> None:
        """Delete a file with its lines.

        Raises:
            BulkError: a batch that is not done needs it, or it has just been deleted.
        """
        needing = select(BatchRow.id).where(BatchRow.input_file_id == file.id, BatchRow.status.in_(OPEN))
        with Session(self._database) as session, session.begin():
            lock(session, file.id)
            if (name := session.scalar(needing.limit(1))) is not None:
                raise BulkError(f"the batch {name} needs it; cancel that first", "file_in_use")
            erase(session, FileRow.id == file.id)

    def purge(self, before: dt.datetime | None) -> int:
        """Delete what is done of before that moment, and uploads that were broken off; says how many files."""
        columns = BatchRow.input_file_id, BatchRow.output_file_id, BatchRow.error_file_id
        needed = union_all(*(select(column).where(BatchRow.status.in_(OPEN)) for column in columns))
        broken_off = FileRow.created_at < dt.datetime.now(dt.UTC) - BROKEN_OFF, FileRow.status == "uploaded"
        old = false() if before is None else FileRow.created_at < before
        with Session(self._database) as session, session.begin():
            if before is not None:
                session.execute(delete(BatchRow).where(BatchRow.created_at < before, BatchRow.status.not_in(OPEN)))
            return erase(session, FileRow.id.not_in(needed), or_(old, and_(*broken_off)))
