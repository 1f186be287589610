"""The decision log: every verdict, with its policy and models."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import JSON, DateTime, Engine, Index, String, Text, delete, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.settings import Settings
from agent.store.database import Base, utc
from agent.store.sealing import Seal
from propriety.verdict import Verdict


class DecisionRow(Base):
    """One verdict; the other columns are there to filter by."""

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


class Entry(NamedTuple):
    """One decision of the log; the time is UTC."""

    created_at: dt.datetime
    tenant: str
    verdict: Verdict


class DecisionLog:
    """Writes and reads verdicts; may be used from several threads."""

    def __init__(self, database: Engine, settings: Settings) -> None:
        """Prompts are kept as the settings say."""
        self.database, self._seal = database, Seal(settings)

    def write_all(self, decided: Sequence[tuple[Verdict, str]]) -> None:
        """Store verdicts, each with its tenant: all or none, committed on return."""
        rows = [self._row(verdict, tenant) for verdict, tenant in decided]
        with self.database.begin() as connection:
            connection.execute(insert(DecisionRow), rows)

    def _row(self, verdict: Verdict, tenant: str) -> dict[str, Any]:
        prompt, closed = self._seal.close(verdict)
        return {
            "id": verdict.id,
            "created_at": dt.datetime.now(dt.UTC),
            "tenant": tenant,
            "locale": verdict.locale,
            "policy_version": verdict.policy.version,
            "policy_hash": verdict.policy.hash,
            "model": verdict.model,
            "status": verdict.status.value,
            "action": verdict.action.value,
            "severity": verdict.severity.value if verdict.severity else None,
            "prompt": prompt,
            "verdict": closed,
        }

    def read(self, verdict_id: str, tenant: str = "") -> Verdict | None:
        """The verdict with that id, or None if it was not given to that tenant."""
        query = select(DecisionRow.verdict).where(DecisionRow.id == verdict_id, DecisionRow.tenant == tenant)
        with Session(self.database) as session:
            verdict = session.scalar(query)
            return None if verdict is None else self._seal.open(verdict)

    def recent(self, limit: int) -> list[Verdict]:
        """The last `limit` verdicts, newest first."""
        query = select(DecisionRow.verdict).order_by(DecisionRow.created_at.desc()).limit(limit)
        with Session(self.database) as session:
            return [self._seal.open(verdict) for verdict in session.scalars(query)]

    def since(self, start: dt.datetime) -> Iterator[Verdict]:
        """The verdicts from `start` on, newest first."""
        query = select(DecisionRow.verdict).where(DecisionRow.created_at >= start)
        with Session(self.database) as session:
            for verdict in session.scalars(
                query.order_by(DecisionRow.created_at.desc()).execution_options(yield_per=500)
            ):
                yield self._seal.open(verdict)

    def entries(self, start: dt.datetime, tenant: str | None = None) -> Iterator[Entry]:
        """The decisions from `start` on, oldest first; of one tenant, or of all."""
        query = select(DecisionRow).where(DecisionRow.created_at >= start)
        if tenant is not None:
            query = query.where(DecisionRow.tenant == tenant)
        with Session(self.database) as session:
            for row in session.scalars(query.order_by(DecisionRow.created_at).execution_options(yield_per=500)):
                yield Entry(utc(row.created_at), row.tenant, self._seal.open(row.verdict))

    def purge(self, before: dt.datetime) -> int:
        """Delete older decisions; returns how many."""
        with Session(self.database) as session, session.begin():
            result = session.execute(delete(DecisionRow).where(DecisionRow.created_at < before))
            return int(result.rowcount)  # type: ignore[attr-defined]
