"""The turns of a conversation before the one that is asked about; and `DELETE /v1/conversations/{id}`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from agent.api.access import Anyone, Caller
from agent.api.errors import ApiError
from agent.api.fields import judge
from agent.store.conversations import ConversationId
from propriety.verdict import Action, ChatMessage, Detector, Verdict

router = APIRouter()


async def judge_in(
    conversation: str | None,
    caller: Caller,
    turns: Sequence[ChatMessage],
    locale: str | None,
    detector: Detector | None,
    param: str,
) -> Verdict:
    """As `judge`, of new turns in the light of those before, where a conversation is named; and keep them, and the
    answer, for the next."""
    if conversation is None:
        return await judge(caller, turns, locale, detector, param)
    sessions, tenant = caller.sessions, caller.tenant.name
    before = await asyncio.to_thread(sessions.turns, tenant, conversation)
    verdict = await judge(caller, [*before, *turns], locale, detector, param)
    said = ChatMessage(role="assistant", content=reply(verdict))
    await asyncio.to_thread(sessions.add, tenant, conversation, [*turns, said])
    return verdict


def reply(verdict: Verdict) -> str:
    """What is said to the person: the prompt to draw, or why there is none."""
    if verdict.action is Action.BLOCK:
        return verdict.message or "The prompt is blocked."
    return verdict.safe_prompt or ""


@router.delete("/v1/conversations/{conversation_id}")
async def forget(caller: Anyone, conversation_id: ConversationId) -> dict[str, Any]:
    """Forget a conversation of the caller's own at once."""
    if not await asyncio.to_thread(caller.sessions.forget, caller.tenant.name, conversation_id):
        message = f"There is no conversation {conversation_id!r} of yours."
        raise ApiError(404, message, "not_found", "conversation_id")
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
