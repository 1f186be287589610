"""Conversations that the server keeps: `POST /v1/conversations` and `DELETE /v1/conversations/{id}`."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any, Literal
from uuid import uuid4

from fastapi import APIRouter
from pydantic.json_schema import SkipJsonSchema

from agent.api.access import Anyone, Caller
from agent.api.errors import ApiError
from agent.api.fields import FromOpenAI, Metadata, refuse_unsupported
from agent.store.conversations import ConversationId
from propriety.verdict import Action, ChatMessage, Detector, Strict, Verdict

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
        ApiError: as `Caller.ask`.
    """
    if conversation is None:
        return await caller.ask(turns, locale, detector, param)
    earlier = await turns_kept(caller, conversation)
    verdict = await caller.ask([*earlier, *turns], locale, detector, param)
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


class ConversationRequest(FromOpenAI):
    metadata: Metadata | None = None
    items: SkipJsonSchema[Any] = None  # not supported


class Conversation(Strict):
    """OpenAI's conversation object."""

    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    metadata: dict[str, str]


CREATED = re.compile("conv_[0-9a-f]{32}")  # an id made here, which is stored with its first turn


@router.post("/v1/conversations")
async def create(caller: Anyone, body: ConversationRequest | None = None) -> Conversation:
    """An id for a new conversation, which exists from its first turn on. Any other name will do too."""
    body = body or ConversationRequest()
    refuse_unsupported({"items": body.items}, "send the first turns with the first request")
    return Conversation(id=f"conv_{uuid4().hex}", created_at=int(time.time()), metadata=body.metadata or {})


@router.delete("/v1/conversations/{conversation_id}")
async def forget(caller: Anyone, conversation_id: ConversationId) -> dict[str, Any]:
    """Delete one of the caller's conversations. One that was created and has no turn yet is deleted, too."""
    if not await forget_turns(caller, conversation_id) and not CREATED.fullmatch(conversation_id):
        message = f"The conversation {conversation_id!r} does not exist."
        raise ApiError(404, message, "not_found", "conversation_id")
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
