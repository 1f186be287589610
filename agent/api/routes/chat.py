"""`POST /v1/chat/completions`: a conversation in; the prompt to draw out, or why nothing is drawn."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from agent.api.access import Asker, Caller
from agent.api.fields import MODEL, STREAMED, Asking, FromOpenAI, LocaleHeader, Message, detector_of, turns
from agent.api.routes.conversations import judge_in, reply, tokens
from agent.store.conversations import ConversationId
from propriety.verdict import Action, Strict, Verdict

router = APIRouter()


class StreamOptions(FromOpenAI):
    include_usage: bool | None = Field(default=False, description="Whether a last chunk has the usage.")


class ChatRequest(Asking):
    """OpenAI's fields. Tools, and fields that steer sampling or ask for JSON, have no effect: the reply is a prompt or
    an explanation."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"messages": [{"role": "user", "content": "a tree on a hill"}], "locale": "fr-FR"}]
        }
    )

    messages: list[Message] = Field(min_length=1, max_length=1000, fail_fast=True)
    conversation_id: ConversationId | None = None
    n: int | None = Field(default=None, ge=1, le=1, description="One verdict a conversation.")
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    stop: str | Annotated[list[str], Field(fail_fast=True)] | None = None


class Reply(Strict):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(Strict):
    index: int = 0
    message: Reply
    finish_reason: Literal["stop", "content_filter"]
    logprobs: None = None


class Usage(Strict):
    """Counted by the encoder's tokenizer."""

    prompt_tokens: int = Field(description="Of the prompt that was judged, which a chat's turns are composed into.")
    completion_tokens: int = Field(description="Of the reply.")
    total_tokens: int


class ChatResponse(Strict):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    verdict: Verdict


@router.post("/v1/chat/completions", response_model=ChatResponse, responses=STREAMED)
async def chat(caller: Asker, body: ChatRequest, header: LocaleHeader = None) -> ChatResponse | StreamingResponse:
    """The assistant's message is the prompt to draw or, if it is blocked, the explanation in the locale's language.

    A block has the `finish_reason` `content_filter`, also if no detector was available (`verdict.status` is `error`).
    """
    messages = turns((f"messages[{index}].content", message) for index, message in enumerate(body.messages))
    locale = header if body.locale is None else body.locale
    verdict = await judge_in(body.conversation_id, caller, messages, locale, detector_of(body.model), "messages")
    blocked = verdict.action is Action.BLOCK
    response = ChatResponse(
        id=f"chatcmpl-{uuid4().hex}",
        created=int(time.time()),
        model=body.model or MODEL,
        choices=[Choice(message=Reply(content=reply(verdict)), finish_reason="content_filter" if blocked else "stop")],
        usage=_usage(caller, verdict),
        verdict=verdict,
    )
    if not body.stream:
        return response
    with_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    return StreamingResponse(_events(response, with_usage), media_type="text/event-stream")


def _usage(caller: Caller, verdict: Verdict) -> Usage:
    prompt, completion = tokens(caller, verdict)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def _events(response: ChatResponse, with_usage: bool) -> Iterator[str]:
    """Server-sent events as OpenAI's clients read them; the chunk with the `finish_reason` has the verdict."""
    choice = response.choices[0]
    verdict = response.verdict.model_dump(mode="json")
    steps: list[tuple[dict[str, str], str | None, dict[str, Any]]] = [
        ({"role": "assistant", "content": ""}, None, {}),
        ({"content": choice.message.content}, None, {}),
        ({}, choice.finish_reason, {"verdict": verdict}),
    ]
    no_usage = {"usage": None} if with_usage else {}
    for delta, finish_reason, extra in steps:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
        yield _chunk(response, choices=choices, **no_usage, **extra)
    if with_usage:
        yield _chunk(response, choices=[], usage=response.usage.model_dump())
    yield "data: [DONE]\n\n"


def _chunk(response: ChatResponse, **fields: Any) -> str:
    shared = {
        "id": response.id, "object": "chat.completion.chunk", "created": response.created, "model": response.model,
    }  # fmt: skip
    return f"data: {json.dumps(shared | fields, ensure_ascii=False)}\n\n"
