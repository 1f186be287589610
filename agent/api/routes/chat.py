"""`POST /v1/chat/completions`: a conversation in; the prompt to draw out, or why nothing is drawn."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Literal
from uuid import uuid4

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import Field

from agent.api.access import Asker
from agent.api.fields import MODEL, Asking, Content, LocaleHeader, detector_of, text_of
from agent.api.routes.conversations import judge_in, reply
from agent.store.conversations import ConversationId
from propriety.verdict import Action, ChatMessage, Strict, Verdict

router = APIRouter()


class Message(Strict):
    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    name: str | None = None


class ChatRequest(Asking):
    """OpenAI's fields; those that steer sampling are accepted and ignored, since a verdict is not sampled."""

    messages: list[Message] = Field(min_length=1, max_length=1000)
    conversation_id: ConversationId | None = None
    n: int | None = Field(default=None, ge=1, le=1, description="One verdict a conversation.")
    stream: bool | None = False
    stream_options: dict[str, Any] | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    response_format: dict[str, Any] | None = None
    logit_bias: dict[str, float] | None = None
    metadata: dict[str, str] | None = None
    reasoning_effort: str | None = None
    service_tier: str | None = None
    store: bool | None = None


class Reply(Strict):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(Strict):
    index: int = 0
    message: Reply
    finish_reason: Literal["stop", "content_filter"]
    logprobs: None = None


class ChatResponse(Strict):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    verdict: Verdict


@router.post("/v1/chat/completions", response_model=ChatResponse)
async def chat(caller: Asker, body: ChatRequest, header: LocaleHeader = None) -> ChatResponse | StreamingResponse:
    """The assistant's message is the prompt to draw or, if it is blocked, the explanation in the locale's language.

    A block has the `finish_reason` `content_filter`, also if no detector was available (`verdict.status` is `error`).
    """
    messages = [
        ChatMessage(role=message.role, content=text_of(message.content, f"messages[{index}].content"))
        for index, message in enumerate(body.messages)
    ]
    locale = header if body.locale is None else body.locale
    verdict = await judge_in(body.conversation_id, caller, messages, locale, detector_of(body.model), "messages")
    blocked = verdict.action is Action.BLOCK
    response = ChatResponse(
        id=f"chatcmpl-{uuid4().hex}",
        created=int(time.time()),
        model=body.model or MODEL,
        choices=[Choice(message=Reply(content=reply(verdict)), finish_reason="content_filter" if blocked else "stop")],
        verdict=verdict,
    )
    return StreamingResponse(_events(response), media_type="text/event-stream") if body.stream else response


def _events(response: ChatResponse) -> Iterator[str]:
    """Server-sent events as OpenAI's clients read them; the last chunk has the verdict."""
    choice = response.choices[0]
    verdict = response.verdict.model_dump(mode="json")
    steps: list[tuple[dict[str, str], str | None, dict[str, Any]]] = [
        ({"role": "assistant", "content": ""}, None, {}),
        ({"content": choice.message.content}, None, {}),
        ({}, choice.finish_reason, {"verdict": verdict}),
    ]
    for delta, finish_reason, extra in steps:
        chunk = {
            "id": response.id, "object": "chat.completion.chunk", "created": response.created, "model": response.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **extra,
        }  # fmt: skip
        yield f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"
