"""Conversations that the server keeps, and `DELETE /v1/conversations/{id}`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from agent.api.access import Anyone, Caller
from agent.api.errors import ApiError
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
    """The verdict on new turns after the earlier ones of the named conversation; keeps the turns and the reply.

    Raises:
        ApiError: as `Caller.judge`.
    """
    if conversation is None:
        return await caller.judge(turns, locale, detector, param)
    kept, tenant = caller.store.conversations, caller.tenant.name
    earlier = await asyncio.to_thread(kept.turns, tenant, conversation)
    verdict = await caller.judge([*earlier, *turns], locale, detector, param)
    answer = ChatMessage(role="assistant", content=reply(verdict))
    await asyncio.to_thread(kept.add, tenant, conversation, [*turns, answer])
    return verdict


def reply(verdict: Verdict) -> str:
    """The reply to the person: the prompt to draw, or why nothing is drawn."""
    if verdict.action is Action.BLOCK:
        return verdict.message or "The prompt is blocked."
    return verdict.safe_prompt or ""


@router.delete("/v1/conversations/{conversation_id}")
async def forget(caller: Anyone, conversation_id: ConversationId) -> dict[str, Any]:
    """Delete one of the caller's conversations."""
    if not await asyncio.to_thread(caller.store.conversations.forget, caller.tenant.name, conversation_id):
        message = f"The conversation {conversation_id!r} does not exist."
        raise ApiError(404, message, "not_found", "conversation_id")
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
