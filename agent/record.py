"""The decision log: every verdict, with the policy and the models that reached it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from sqlalchemy import JSON, DateTime, Index, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.database import Base, open_database
from agent.schema import Verdict


class DecisionRow(Base):
    """One verdict; the columns are what one filters by, `verdict` is all of it."""

    __tablename__ = "decisions"
    __table_args__ = (Index("ix_decisions_tenant", "tenant", "created_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), index=True)
    tenant: Mapped[str] = mapped_column(String(64), server_default="")
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
        """Open `url`, as `open_database` does."""
        self._engine = open_database(url)

    def write(self, verdict: Verdict, tenant: str = "") -> None:
        """Store one verdict of a tenant's prompt, committed when this returns."""
        row = DecisionRow(
            id=verdict.id,
            created_at=dt.datetime.now(dt.UTC),
            tenant=tenant,
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

    def read(self, verdict_id: str, tenant: str = "") -> Verdict | None:
        """The verdict of that id, or None where there is none of that tenant's."""
        query = select(DecisionRow.verdict).where(DecisionRow.id == verdict_id, DecisionRow.tenant == tenant)
        with Session(self._engine) as session:
            verdict = session.scalar(query)
            return None if verdict is None else Verdict.model_validate(verdict)

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
