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
    earlier = await turns_kept(caller, conversation)
    verdict = await caller.judge([*earlier, *turns], locale, detector, param)
    await keep(caller, conversation, turns, verdict)
    return verdict


async def turns_kept(caller: Caller, conversation: str) -> list[ChatMessage]:
    """The turns of a conversation of the caller, oldest first; empty if it does not exist."""
    return await asyncio.to_thread(caller.store.conversations.turns, caller.tenant.name, conversation)


async def keep(caller: Caller, conversation: str, turns: Sequence[ChatMessage], verdict: Verdict) -> None:
    """Add turns, and the reply to them, to a conversation of the caller."""
    answer = ChatMessage(role="assistant", content=reply(verdict))
    await asyncio.to_thread(caller.store.conversations.add, caller.tenant.name, conversation, [*turns, answer])


async def forget_turns(caller: Caller, conversation: str) -> int:
    """Delete a conversation of the caller; returns how many turns it had."""
    return await asyncio.to_thread(caller.store.conversations.forget, caller.tenant.name, conversation)


def reply(verdict: Verdict) -> str:
    """The reply to the person: the prompt to draw, or why nothing is drawn."""
    if verdict.action is Action.BLOCK:
        return verdict.message or "The prompt is blocked."
    return verdict.safe_prompt or ""


def tokens(caller: Caller, verdict: Verdict) -> tuple[int, int]:
    """The tokens of the prompt that was judged, and those of the reply, by the encoder's tokenizer."""
    count = caller.service.moderator.encoder.count_tokens
    return count(verdict.prompt), count(reply(verdict))


@router.delete("/v1/conversations/{conversation_id}")
async def forget(caller: Anyone, conversation_id: ConversationId) -> dict[str, Any]:
    """Delete one of the caller's conversations."""
    if not await forget_turns(caller, conversation_id):
        message = f"The conversation {conversation_id!r} does not exist."
        raise ApiError(404, message, "not_found", "conversation_id")
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
