"""Files of batches: JSON Lines, stored line by line and sealed like prompts.

Line by line, so that an interrupted batch continues after the last line that was written.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Engine,
    Index,
    String,
    Text,
    Update,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.settings import Settings
from agent.store.database import Base
from agent.store.sealing import Seal

PAGE = 250  # lines read or written at once
PIECE_CHARS, FETCHED = 1 << 20, 8  # of a file that is sent: characters in memory, and lines read at once

Purpose = Literal["batch", "batch_output"]


class FileRow(Base):
    """`uploaded` while lines are being written, and hidden; then `processed`."""

    __tablename__ = "files"
    __table_args__ = (Index("ix_files_tenant", "tenant", "created_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    filename: Mapped[str] = mapped_column(String(255))
    purpose: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16), default="uploaded")
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    lines: Mapped[int] = mapped_column(default=0)


class LineRow(Base):
    """`number` counts from 1; `flaw` is why an input line is invalid."""

    __tablename__ = "file_lines"

    file_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(Text)
    flaw: Mapped[str | None] = mapped_column(Text)


class Line(NamedTuple):
    number: int
    text: str
    flaw: str | None = None


class BulkError(ValueError):
    """A file or batch is refused; the message says why, and `code` says so to programs."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class _Owned(Protocol):
    id: Any
    tenant: Any
    created_at: Any


Row = TypeVar("Row", bound=_Owned)


def by_age(
    session: Session,
    kind: type[Row],
    tenant: str,
    after: str | None,
    limit: int,
    *where: Any,
    oldest_first: bool = False,
) -> list[Row]:
    """A tenant's rows, newest first by default, from the one after the id `after`; empty if that does not exist."""
    query = select(kind).where(kind.tenant == tenant, *where)
    if after is not None:
        edge = session.scalar(select(kind).where(kind.id == after, kind.tenant == tenant))
        if edge is None:
            return []
        place, edge_place = tuple_(kind.created_at, kind.id), tuple_(edge.created_at, edge.id)
        query = query.where(place > edge_place if oldest_first else place < edge_place)
    columns = (kind.created_at, kind.id)
    order = columns if oldest_first else [column.desc() for column in columns]
    return list(session.scalars(query.order_by(*order).limit(limit)))


class Files:
    """The files in a database; may be used from several threads."""

    def __init__(self, database: Engine, settings: Settings) -> None:
        self._database, self._seal, self._settings = database, Seal(settings), settings

    def add(self, tenant: str, filename: str, lines: Iterable[Line]) -> FileRow:
        """Keep an input file; if `lines` raises, nothing is kept.

        Raises:
            BulkError: the tenant's files use all the space that the settings allow.
        """
        used = select(func.coalesce(func.sum(FileRow.bytes), 0)).where(FileRow.tenant == tenant)
        with Session(self._database) as session, session.begin():
            if session.scalars(used).one() >= self._settings.files_mib << 20:
                message = f"your files use all of your {self._settings.files_mib} MiB; delete some"
                raise BulkError(message, "storage_full")
            row = new_file(tenant, filename, "batch")
            session.add(row)
            session.flush()
            name = row.id
        iterator = iter(lines)
        try:
            while page := list(islice(iterator, PAGE)):
                with Session(self._database) as session, session.begin():
                    self.append(session, name, page)
            with Session(self._database, expire_on_commit=False) as session, session.begin():
                kept = session.get_one(FileRow, name)
                kept.status = "processed"
                return kept
        except BaseException:
            with Session(self._database) as session, session.begin():
                erase(session, FileRow.id == name)
            raise

    def append(self, session: Session, name: str, lines: Sequence[Line]) -> None:
        """Add lines to a file in the session's transaction."""
        if not lines:
            return
        lock = self._seal.lock
        rows = [
            {"file_id": name, "number": line.number, "text": lock(line.text), "flaw": line.flaw and lock(line.flaw)}
            for line in lines
        ]
        session.execute(insert(LineRow), rows)
        size = sum(len(line.text.encode()) + 1 for line in lines)
        grown = {"bytes": FileRow.bytes + size, "lines": FileRow.lines + len(lines)}
        session.execute(update(FileRow).where(FileRow.id == name).values(grown))

    def find(self, tenant: str, name: str) -> FileRow | None:
        """A complete file of the tenant."""
        with Session(self._database) as session:
            return session.scalar(select(FileRow).where(*_complete(tenant), FileRow.id == name))

    def listed(
        self, tenant: str, after: str | None, limit: int, *, purpose: str | None = None, oldest_first: bool = False
    ) -> list[FileRow]:
        """As `by_age`, of one purpose or all."""
        where = _complete(tenant) if purpose is None else (*_complete(tenant), FileRow.purpose == purpose)
        with Session(self._database) as session:
            return by_age(session, FileRow, tenant, after, limit, *where, oldest_first=oldest_first)

    def lines(self, name: str, done: int, limit: int = PAGE) -> list[Line]:
        """The lines of a file after the first `done`.

        Raises:
            SealError: they are encrypted with another key.
        """
        query = select(LineRow).where(LineRow.file_id == name, LineRow.number > done).order_by(LineRow.number)
        with Session(self._database) as session:
            rows = session.scalars(query.limit(limit))
            unlock = self._seal.unlock
            return [Line(row.number, unlock(row.text), row.flaw and unlock(row.flaw)) for row in rows]

    def content(self, name: str) -> Iterator[bytes]:
        """A whole file, piece by piece; no database connection is held while a piece is sent."""
        done = 0
        while piece := self._piece(name, done):
            yield "".join(f"{text}\n" for _, text in piece).encode()
            done = piece[-1][0]

    def _piece(self, name: str, done: int) -> list[tuple[int, str]]:
        """The lines after the first `done`, up to the one that makes it `PIECE_CHARS`: a page of long lines is 64 MiB,
        and a caller that reads slowly keeps its piece in memory."""
        query = select(LineRow.number, LineRow.text).where(LineRow.file_id == name, LineRow.number > done)
        piece, size = list[tuple[int, str]](), 0
        paged = query.order_by(LineRow.number).limit(PAGE).execution_options(yield_per=FETCHED)
        with Session(self._database) as session, session.execute(paged) as rows:
            for number, text in rows:
                piece.append((number, self._seal.unlock(text)))
                size += len(text)
                if size >= PIECE_CHARS:
                    break
        return piece


def new_file(tenant: str, filename: str, purpose: Purpose) -> FileRow:
    now = dt.datetime.now(dt.UTC)
    return FileRow(id=f"file-{uuid.uuid4().hex}", tenant=tenant, created_at=now, filename=filename, purpose=purpose)


def lock(session: Session, name: str) -> None:
    """Keep others from deleting or locking a file until the session's transaction ends.

    Raises:
        BulkError: it was deleted.
    """
    if not changed(session, update(FileRow).where(FileRow.id == name).values(status=FileRow.status)):
        raise BulkError(f"the file {name} has just been deleted", "not_found")


def changed(session: Session, statement: Update) -> bool:
    """Whether an update found a row."""
    return bool(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def erase(session: Session, *where: ColumnElement[bool]) -> int:
    """Delete files with their lines, in the session's transaction; returns how many files."""
    names = select(FileRow.id).where(*where)
    session.execute(delete(LineRow).where(LineRow.file_id.in_(names)))
    return int(session.execute(delete(FileRow).where(*where)).rowcount)  # type: ignore[attr-defined]


def _complete(tenant: str) -> tuple[Any, ...]:
    return FileRow.tenant == tenant, FileRow.status == "processed"
