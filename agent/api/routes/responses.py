"""`/v1/responses`: OpenAI's Responses API. The output is the prompt to draw, or a refusal that says why not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Discriminator, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from agent.api.access import Anyone, Asker, Caller
from agent.api.errors import ApiError
from agent.api.fields import (
    MODEL,
    STREAMED,
    Asking,
    Content,
    FromOpenAI,
    Id,
    LocaleHeader,
    Message,
    Metadata,
    Text,
    detector_of,
    refuse_unsupported,
    turns,
)
from agent.api.routes.conversations import forget_turns, keep, reply, tokens, turns_kept
from agent.store.conversations import ConversationId
from propriety.verdict import Action, ChatMessage, Strict, Verdict

router = APIRouter()

# Items besides calls that have no part of the prompt.
WITHOUT_PROMPT = {"reasoning", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"}


class Item(FromOpenAI):
    """A message, or the output of a tool. Other items, such as calls and reasoning, are neither judged nor drawn."""

    type: Annotated[str, Field(max_length=64)] | None = None
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Content | None = None
    output: Content | None = Field(default=None, description="A tool's; judged and drawn with the user's text.")


class ConversationReference(FromOpenAI):
    id: ConversationId


Input = Annotated[
    Annotated[Text, Tag("string")]
    | Annotated[list[Item], Field(min_length=1, max_length=1000, fail_fast=True), Tag("items")],
    Discriminator(lambda value: "items" if isinstance(value, list) else "string"),
]


class ResponseRequest(Asking):
    """OpenAI's fields. Tools, and fields that steer sampling or ask for JSON, have no effect."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"input": "a tree on a hill", "locale": "fr-FR"}]})

    input: Input
    instructions: Text | None = Field(default=None, description="A system message for this response only.")
    conversation: ConversationId | ConversationReference | None = Field(
        default=None, description="One of the caller's conversations, by any name; the same as a chat's."
    )
    previous_response_id: Id | None = Field(default=None, description="The response that this turn follows.")
    store: bool | None = Field(default=True, description="Whether a later response can follow this one.")
    stream: bool | None = False
    metadata: Metadata | None = None
    background: SkipJsonSchema[Any] = None  # neither is supported
    prompt: SkipJsonSchema[Any] = None


class OutputText(Strict):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[None] = []
    logprobs: list[None] = []


class Refusal(Strict):
    type: Literal["refusal"] = "refusal"
    refusal: str


class OutputMessage(Strict):
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    status: Literal["completed"] = "completed"
    content: list[OutputText | Refusal] = Field(description="The prompt to draw; a refusal if the prompt is blocked.")


class InputTokensDetails(Strict):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(Strict):
    reasoning_tokens: int = 0


class ResponseUsage(Strict):
    """Counted by the encoder's tokenizer."""

    input_tokens: int = Field(description="Of the prompt that was judged, which the turns are composed into.")
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens: int = Field(description="Of the output.")
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    total_tokens: int


class InConversation(Strict):
    id: str


class Response(Strict):
    """OpenAI's response object, with the verdict. A block is `completed` too: its output is a refusal."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int
    status: Literal["completed"] = "completed"
    error: None = None
    incomplete_details: None = None
    instructions: str | None
    metadata: dict[str, str]
    model: str
    output: list[OutputMessage]
    parallel_tool_calls: bool = True
    tool_choice: Literal["auto"] = "auto"
    tools: list[None] = []
    conversation: InConversation | None
    previous_response_id: str | None
    store: bool
    usage: ResponseUsage
    verdict: Verdict


class ResponseDeleted(Strict):
    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


@router.post("/v1/responses", response_model=Response, responses=STREAMED)
async def respond(caller: Asker, body: ResponseRequest, header: LocaleHeader = None) -> Response | StreamingResponse:
    """The output is the prompt to draw or, if it is blocked, a refusal in the locale's language.

    `verdict.status` is `error` if no detector was available; the output is then a refusal too.
    """
    refuse_unsupported(
        {"background": body.background, "prompt": body.prompt},
        "responses are not queued, and prompt templates are not stored here",
    )
    named = body.conversation.id if isinstance(body.conversation, ConversationReference) else body.conversation
    said = turns(_messages(body.input))
    earlier = await _earlier(caller, named, body.previous_response_id)
    instructions = [] if body.instructions is None else [ChatMessage(role="system", content=body.instructions)]
    locale = header if body.locale is None else body.locale
    verdict = await caller.ask([*instructions, *earlier, *said], locale, detector_of(body.model), "input")
    name = f"resp_{uuid4().hex}"
    if named is not None:
        await keep(caller, named, said, verdict)
    elif body.store is not False:
        await keep(caller, name, [*earlier, *said], verdict)
    response = _response(caller, body, verdict, name, named)
    return StreamingResponse(_events(response), media_type="text/event-stream") if body.stream else response


@router.delete("/v1/responses/{response_id}")
async def delete(caller: Anyone, response_id: Id) -> ResponseDeleted:
    """Delete the turns that a response was stored with; no response can follow it then."""
    if not response_id.startswith("resp_") or not await forget_turns(caller, response_id):
        raise ApiError(404, f"The response {response_id!r} does not exist.", "not_found", "response_id")
    return ResponseDeleted(id=response_id)


async def _earlier(caller: Caller, conversation: str | None, previous: str | None) -> list[ChatMessage]:
    """The turns before this one.

    Raises:
        ApiError: 400 if both are given; 404 if the previous response was not stored, or not for this long.
    """
    if conversation is not None and previous is not None:
        message = "previous_response_id: use either conversation or previous_response_id."
        raise ApiError(400, message, "invalid_request", "previous_response_id")
    if previous is None:
        return [] if conversation is None else await turns_kept(caller, conversation)
    earlier = await turns_kept(caller, previous)
    if not earlier:
        message = f"The response {previous!r} is not stored, or no longer; send the earlier turns in input."
        raise ApiError(404, message, "previous_response_not_found", "previous_response_id")
    return earlier


def _messages(content: str | list[Item]) -> Iterator[tuple[str, Message]]:
    """The messages with the names of their content, as `turns` reads them.

    Raises:
        ApiError: 400 for a message without a role, and for an item that may have text elsewhere, such as a reference.
    """
    if isinstance(content, str):
        yield "input", Message(role="user", content=content)
        return
    for index, item in enumerate(content):
        name = f"input[{index}]"
        if item.role is not None:
            yield f"{name}.content", Message(role=item.role, content=item.content)
        elif item.output is not None:
            yield f"{name}.output", Message(role="tool", content=item.output)
        elif item.type in (None, "message"):
            raise ApiError(400, f"{name}.role: Field required.", "missing", f"{name}.role")
        elif not item.type.endswith("_call") and item.type not in WITHOUT_PROMPT:
            message = f"{name}: An item of type {item.type!r} cannot be judged; send its text in a message."
            raise ApiError(400, message, "unsupported_content", name)


def _response(caller: Caller, body: ResponseRequest, verdict: Verdict, name: str, conversation: str | None) -> Response:
    now, text = int(time.time()), reply(verdict)
    part = Refusal(refusal=text) if verdict.action is Action.BLOCK else OutputText(text=text)
    read, written = tokens(caller, verdict)
    return Response(
        id=name,
        created_at=now,
        completed_at=now,
        instructions=body.instructions,
        metadata=body.metadata or {},
        model=body.model or MODEL,
        output=[OutputMessage(id=f"msg_{uuid4().hex}", content=[part])],
        conversation=None if conversation is None else InConversation(id=conversation),
        previous_response_id=body.previous_response_id,
        store=body.store is not False,
        usage=ResponseUsage(input_tokens=read, output_tokens=written, total_tokens=read + written),
        verdict=verdict,
    )


def _events(response: Response) -> Iterator[str]:
    """Server-sent events as OpenAI's clients read them; the response of the last one has the verdict."""
    done = response.model_dump(mode="json")
    begun = {**done, "status": "in_progress", "completed_at": None, "output": [], "usage": None, "verdict": None}
    (item,) = done["output"]
    (part,) = item["content"]
    field = "refusal" if part["type"] == "refusal" else "text"
    logprobs: dict[str, Any] = {"logprobs": []} if field == "text" else {}
    in_output: dict[str, Any] = {"output_index": 0}
    in_part = {**in_output, "content_index": 0, "item_id": item["id"]}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", {**in_output, "item": {**item, "status": "in_progress", "content": []}}),
        ("response.content_part.added", {**in_part, "part": {**part, field: ""}}),
        (f"response.{part['type']}.delta", {**in_part, **logprobs, "delta": part[field]}),
        (f"response.{part['type']}.done", {**in_part, **logprobs, field: part[field]}),
        ("response.content_part.done", {**in_part, "part": part}),
        ("response.output_item.done", {**in_output, "item": item}),
        ("response.completed", {"response": done}),
    ]
    for number, (kind, fields) in enumerate(events):
        data = {"type": kind, "sequence_number": number, **fields}
        yield f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
