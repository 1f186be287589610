"""Conversations kept on the server: a caller names one and sends only its new turns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from sqlalchemy import ColumnElement, DateTime, Engine, Index, String, Text, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.settings import Settings
from agent.store.database import Base
from agent.store.sealing import Seal
from propriety.verdict import ChatMessage

ConversationId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._:-]{1,128}$",
        description="One of the caller's conversations, whose turns the server keeps; send only new turns.",
    ),
]


class TurnRow(Base):
    __tablename__ = "turns"
    __table_args__ = (Index("ix_turns_conversation", "tenant", "conversation", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(String(64))
    conversation: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), index=True)
    role: Mapped[str] = mapped_column(String(16))
    content: Mapped[str] = mapped_column(Text)


class Conversations:
    """Keeps a turn for `session_ttl_s`: the last `session_turns` of a conversation, and `session_most` of a tenant."""

    def __init__(self, database: Engine, settings: Settings) -> None:
        self._database, self._seal, self._settings = database, Seal(settings), settings

    def turns(self, tenant: str, conversation: str) -> list[ChatMessage]:
        """The turns so far, oldest first; empty if the tenant has no such conversation.

        Raises:
            SealError: the turns are encrypted with another key.
        """
        query = select(TurnRow).where(*self._of(tenant, conversation), TurnRow.created_at >= self._oldest())
        with Session(self._database) as session:
            rows = session.scalars(query.order_by(TurnRow.id.desc()).limit(self._settings.session_turns)).all()
            return [
                ChatMessage.model_validate({"role": row.role, "content": self._seal.unlock(row.content)})
                for row in reversed(rows)
            ]

    def add(self, tenant: str, conversation: str, turns: Sequence[ChatMessage]) -> None:
        """Append turns; delete those that are too old or too many."""
        now = dt.datetime.now(dt.UTC)
        with Session(self._database) as session, session.begin():
            for turn in turns:
                session.add(
                    TurnRow(
                        tenant=tenant,
                        conversation=conversation,
                        created_at=now,
                        role=turn.role,
                        content=self._seal.lock(turn.content),
                    )
                )
            session.flush()
            session.execute(delete(TurnRow).where(TurnRow.created_at < self._oldest()))
            for scope, limit in (
                (self._of(tenant, conversation), self._settings.session_turns),
                ((TurnRow.tenant == tenant,), self._settings.session_most),
            ):
                count = session.scalar(select(func.count()).select_from(TurnRow).where(*scope)) or 0
                if count > limit:
                    last = select(TurnRow.id).where(*scope).order_by(TurnRow.id).offset(count - limit - 1).limit(1)
                    session.execute(delete(TurnRow).where(*scope, TurnRow.id <= session.scalar(last)))

    def purge(self) -> int:
        """Delete turns that are too old; returns how many."""
        with Session(self._database) as session, session.begin():
            result = session.execute(delete(TurnRow).where(TurnRow.created_at < self._oldest()))
            return int(result.rowcount)  # type: ignore[attr-defined]

    def forget(self, tenant: str, conversation: str) -> int:
        """Delete a conversation; returns how many turns it had."""
        with Session(self._database) as session, session.begin():
            result = session.execute(delete(TurnRow).where(*self._of(tenant, conversation)))
            return int(result.rowcount)  # type: ignore[attr-defined]

    def _of(self, tenant: str, conversation: str) -> tuple[ColumnElement[bool], ...]:
        return TurnRow.tenant == tenant, TurnRow.conversation == conversation

    def _oldest(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=self._settings.session_ttl_s)
