"""Reviews: a person confirms or overturns a decision, with a reason. An overturned prompt becomes an exemplar."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import JSON, Boolean, DateTime, Engine, String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.policy.model import Policy
from agent.settings import Settings
from agent.store.database import Base, utc
from agent.store.decisions import DecisionRow, Entry
from agent.store.sealing import HASHED, Seal
from propriety.verdict import Action, Severity, Status, Verdict

TICK = dt.timedelta(microseconds=1)


class Outcome(StrEnum):
    CONFIRMED = "confirmed"
    OVERTURNED = "overturned"


class ReviewRow(Base):
    """`prompt` is set if it is an exemplar. A review is kept longer than the decision, which has its own retention."""

    __tablename__ = "reviews"

    verdict_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), index=True)
    tenant: Mapped[str] = mapped_column(String(64))
    policy: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    reviewer: Mapped[str] = mapped_column(String(64))
    for_all: Mapped[bool] = mapped_column(Boolean)
    lifted: Mapped[bool] = mapped_column(Boolean)
    rules: Mapped[list[str]] = mapped_column(JSON)
    prompt: Mapped[str | None] = mapped_column(Text)


class Review(NamedTuple):
    """A reviewer's decision; `rule` is the one that an allowed prompt breaks."""

    outcome: Outcome
    reason: str
    reviewer: str
    for_all: bool = False
    rule: str | None = None


class Reviewed(NamedTuple):
    """A decision, and its review if it has one."""

    entry: Entry
    review: Review | None


class Exemplar(NamedTuple):
    """A prompt whose decision was overturned.

    lifted: whether it does not break the rules, or does.
    tenant: whose prompts follow it; None for everybody's.
    """

    verdict_id: str
    tenant: str | None
    policy: str
    rules: tuple[str, ...]
    lifted: bool
    prompt: str


class ReviewError(ValueError):
    """The decision cannot be overturned; the message says why."""


class Reviews:
    """The reviews in a database; may be used from several threads."""

    def __init__(self, database: Engine, settings: Settings) -> None:
        self._database, self._seal = database, Seal(settings)

    def listed(
        self, reviewed: bool | None, tenant: str | None, before: dt.datetime | None, limit: int
    ) -> list[Reviewed]:
        """Decisions, newest first, of one tenant or of all.

        With `reviewed`, those that have a review; otherwise restrictions that wait for one.
        """
        query = select(DecisionRow, ReviewRow).outerjoin(ReviewRow, ReviewRow.verdict_id == DecisionRow.id)
        if reviewed:
            query = query.where(ReviewRow.verdict_id.is_not(None))
        else:
            query = query.where(
                ReviewRow.verdict_id.is_(None),
                DecisionRow.action != Action.ALLOW.value,
                DecisionRow.status != Status.ERROR.value,
            )
        if tenant is not None:
            query = query.where(DecisionRow.tenant == tenant)
        if before is not None:
            query = query.where(DecisionRow.created_at < before.astimezone(dt.UTC))
        with Session(self._database) as session:
            rows = session.execute(query.order_by(DecisionRow.created_at.desc()).limit(limit)).all()
            return [self._reviewed(*row) for row in rows]

    def find(self, verdict_id: str) -> Reviewed | None:
        """One decision, of any tenant."""
        query = select(DecisionRow, ReviewRow).outerjoin(ReviewRow, ReviewRow.verdict_id == DecisionRow.id)
        with Session(self._database) as session:
            row = session.execute(query.where(DecisionRow.id == verdict_id)).one_or_none()
            return row and self._reviewed(*row)

    def review(self, verdict_id: str, review: Review, policies: Mapping[str, Policy]) -> Reviewed | None:
        """Keep a review, in place of an earlier one of the same decision; None if the decision does not exist.

        Raises:
            ReviewError: the decision cannot be overturned.
        """
        if (decision := self.find(verdict_id)) is None:
            return None
        self._write(decision.entry, review, policies)
        return decision._replace(review=review)

    def _write(self, entry: Entry, review: Review, policies: Mapping[str, Policy]) -> None:
        verdict, overturned = entry.verdict, review.outcome is Outcome.OVERTURNED
        rules = _rules(verdict, review.rule, policies) if overturned else []
        row = ReviewRow(
            verdict_id=verdict.id,
            tenant=entry.tenant,
            policy=verdict.policy.locale,
            lifted=verdict.action is not Action.ALLOW,
            rules=rules,
            prompt=self._seal.lock(verdict.prompt) if overturned else None,
            outcome=review.outcome.value,
            reason=review.reason,
            reviewer=review.reviewer,
            for_all=review.for_all,
        )
        with Session(self._database) as session, session.begin():
            last, now = session.scalar(select(func.max(ReviewRow.created_at))), dt.datetime.now(dt.UTC)
            # Later than any other, so that `mark` changes even after the clock was set back.
            row.created_at = max(now, utc(last) + TICK) if last else now
            session.merge(row)

    def exemplars(self) -> list[Exemplar]:
        """The prompts whose decision was overturned, oldest first."""
        query = select(ReviewRow).where(ReviewRow.prompt.is_not(None)).order_by(ReviewRow.created_at)
        with Session(self._database) as session:
            return [
                Exemplar(
                    row.verdict_id,
                    None if row.for_all else row.tenant,
                    row.policy,
                    tuple(row.rules),
                    row.lifted,
                    self._seal.unlock(row.prompt or ""),
                )
                for row in session.scalars(query)
            ]

    def mark(self) -> tuple[Any, ...]:
        """Changes with each review, whichever process wrote it."""
        with Session(self._database) as session:
            return tuple(session.execute(select(func.count(), func.max(ReviewRow.created_at))).one())

    def _reviewed(self, decision: DecisionRow, row: ReviewRow | None) -> Reviewed:
        entry = Entry(utc(decision.created_at), decision.tenant, self._seal.open(decision.verdict))
        if row is None:
            return Reviewed(entry, None)
        rule = None if row.lifted or not row.rules else row.rules[0]
        return Reviewed(entry, Review(Outcome(row.outcome), row.reason, row.reviewer, row.for_all, rule))


def _rules(verdict: Verdict, rule: str | None, policies: Mapping[str, Policy]) -> list[str]:
    """The rules that an overturned decision is about."""
    if verdict.prompt.startswith(HASHED):
        raise ReviewError("its prompt is stored as a hash, so other prompts cannot be compared with it")
    if verdict.status is Status.ERROR:
        raise ReviewError("no detector was available for it, so there is no judgement to overturn")
    if verdict.action is Action.ALLOW:
        policy = policies.get(verdict.policy.locale)
        if rule is None or policy is None or rule not in policy.rules_by_id:
            raise ReviewError(f"it was allowed; set `rule` to the rule of {verdict.policy.locale} that it breaks")
        return [rule]
    if rule is not None:
        raise ReviewError("`rule` is only for overturning an allowed prompt")
    if any(violation.severity is Severity.CRITICAL for violation in verdict.violations):
        raise ReviewError("a critical rule always blocks; change the policy if it is wrong")
    return [violation.rule_id for violation in verdict.violations]
