"""The decision log: every verdict, with the policy and the models that reached it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, DateTime, String, Text, create_engine, make_url, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from agent.schema import Verdict


class Base(DeclarativeBase):
    pass


class DecisionRow(Base):
    """One verdict; the columns are what one filters by, `verdict` is all of it."""

    __tablename__ = "decisions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), index=True)
    locale: Mapped[str] = mapped_column(String(64), index=True)
    policy_version: Mapped[str] = mapped_column(String(32))
    policy_hash: Mapped[str] = mapped_column(String(64), index=True)
    model: Mapped[str] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(16), index=True)
    severity: Mapped[str | None] = mapped_column(String(16))
    prompt: Mapped[str] = mapped_column(Text)
    verdict: Mapped[dict[str, Any]] = mapped_column(JSON)


class DecisionLog:
    """Writes verdicts to any database that SQLAlchemy speaks; may be used from several threads."""

    def __init__(self, url: str) -> None:
        """Open `url`; tables that are missing, and SQLite's folder, are made."""
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(parsed)
        Base.metadata.create_all(self._engine)

    def write(self, verdict: Verdict) -> None:
        """Store one verdict, committed when this returns."""
        row = DecisionRow(
            id=verdict.id,
            created_at=dt.datetime.now(dt.UTC),
            locale=verdict.locale,
            policy_version=verdict.policy.version,
            policy_hash=verdict.policy.hash,
            model=verdict.model,
            status=verdict.status.value,
            action=verdict.action.value,
            severity=verdict.severity.value if verdict.severity else None,
            prompt=verdict.prompt,
            verdict=verdict.model_dump(mode="json"),
        )
        with Session(self._engine) as session, session.begin():
            session.add(row)

    def read(self, verdict_id: str) -> Verdict | None:
        """The verdict of that id, or None."""
        with Session(self._engine) as session:
            row = session.get(DecisionRow, verdict_id)
            return None if row is None else Verdict.model_validate(row.verdict)

    def recent(self, limit: int) -> list[Verdict]:
        """The last `limit` verdicts, newest first."""
        query = select(DecisionRow.verdict).order_by(DecisionRow.created_at.desc()).limit(limit)
        with Session(self._engine) as session:
            return [Verdict.model_validate(verdict) for verdict in session.scalars(query)]

    def since(self, start: dt.datetime) -> Iterator[Verdict]:
        """The verdicts from `start` on, newest first."""
        query = select(DecisionRow.verdict).where(DecisionRow.created_at >= start)
        with Session(self._engine) as session:
            for verdict in session.scalars(
                query.order_by(DecisionRow.created_at.desc()).execution_options(yield_per=500)
            ):
                yield Verdict.model_validate(verdict)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()
