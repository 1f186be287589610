"""Batches: files of requests that are judged between live requests, as their owners see them."""

from __future__ import annotations

import datetime as dt
import uuid

from sqlalchemy import JSON, DateTime, Engine, Index, String, and_, delete, false, func, or_, select, union_all, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.settings import Settings
from agent.store.batch_lines import Endpoint
from agent.store.database import Base
from agent.store.files import BulkError, FileRow, by_age, changed, erase, lock, new_file

WINDOW = dt.timedelta(hours=24)
MAX_OPEN = 20  # unfinished batches of a tenant
UPLOAD_TIMEOUT = dt.timedelta(days=1)  # after which an unfinished upload is deleted
OPEN = ("validating", "in_progress", "cancelling")


class BatchRow(Base):
    """The first `completed + failed` lines of the input file have been judged and written."""

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
        self._database, self._max_waiting_lines = database, settings.batch_waiting_lines

    def create(self, tenant: str, file: FileRow, endpoint: Endpoint, notes: dict[str, str] | None) -> BatchRow:
        """Create a batch of one of the tenant's files.

        Raises:
            BulkError: too many lines or batches of the tenant are waiting, or the file was just deleted.
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
            if batches >= MAX_OPEN or lines + file.lines > self._max_waiting_lines:
                waiting_now = f"you have {batches} unfinished batches with {lines} lines to do"
                limit = f"the limit is {MAX_OPEN} batches and {self._max_waiting_lines} lines"
                raise BulkError(f"{waiting_now}; {limit}", "too_many_waiting")
            session.add_all([output, errors, batch])
        return batch

    def find(self, tenant: str, name: str) -> BatchRow | None:
        """One of the tenant's batches."""
        with Session(self._database) as session:
            return session.scalar(select(BatchRow).where(BatchRow.tenant == tenant, BatchRow.id == name))

    def listed(self, tenant: str, after: str | None, limit: int) -> list[BatchRow]:
        """As `newest`."""
        with Session(self._database) as session:
            return by_age(session, BatchRow, tenant, after, limit)

    def cancel(self, tenant: str, name: str) -> bool:
        """Judge no further line; returns whether the batch was still open."""
        open_one = BatchRow.tenant == tenant, BatchRow.id == name, BatchRow.status.in_(OPEN)
        when = func.coalesce(BatchRow.cancelling_at, dt.datetime.now(dt.UTC))
        with Session(self._database) as session, session.begin():
            query = update(BatchRow).where(*open_one).values(status="cancelling", cancelling_at=when)
            return changed(session, query)

    def delete(self, file: FileRow) -> None:
        """Delete a file with its lines.

        Raises:
            BulkError: an unfinished batch needs it, or it was just deleted.
        """
        needing = select(BatchRow.id).where(BatchRow.input_file_id == file.id, BatchRow.status.in_(OPEN))
        with Session(self._database) as session, session.begin():
            lock(session, file.id)
            if (name := session.scalar(needing.limit(1))) is not None:
                raise BulkError(f"the batch {name} needs it; cancel that first", "file_in_use")
            erase(session, FileRow.id == file.id)

    def purge(self, before: dt.datetime | None) -> int:
        """Delete older files and batches that are done, and unfinished uploads; returns how many files."""
        columns = BatchRow.input_file_id, BatchRow.output_file_id, BatchRow.error_file_id
        needed = union_all(*(select(column).where(BatchRow.status.in_(OPEN)) for column in columns))
        unfinished = FileRow.created_at < dt.datetime.now(dt.UTC) - UPLOAD_TIMEOUT, FileRow.status == "uploaded"
        old = false() if before is None else FileRow.created_at < before
        with Session(self._database) as session, session.begin():
            if before is not None:
                session.execute(delete(BatchRow).where(BatchRow.created_at < before, BatchRow.status.not_in(OPEN)))
            return erase(session, FileRow.id.not_in(needed), or_(old, and_(*unfinished)))
