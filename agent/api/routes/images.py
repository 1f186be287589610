"""`POST /v1/images/generations`: the prompt is judged, then drawn as the verdict says."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from starlette.requests import ClientDisconnect

from agent.api.access import Drawer
from agent.api.drawing.draw import draw
from agent.api.errors import ApiError
from agent.api.fields import Asking, LocaleHeader, Text, detector_of
from agent.api.routes.conversations import judge_in, reply
from agent.metrics import STEP_SECONDS
from agent.store.conversations import ConversationId
from propriety.drawing import MAX_SEED, DrawRequest, Parameters
from propriety.http import while_connected
from propriety.verdict import Action, ChatMessage, Status, Strict, Verdict

router = APIRouter()

MIN_SIDE, MAX_SIDE = 64, 2048


class ImageRequest(Asking):
    """OpenAI's fields and `seed`; those that choose a style are accepted and ignored."""

    prompt: Text
    conversation_id: ConversationId | None = None
    n: int | None = Field(default=1, ge=1, le=10)
    size: Annotated[str, StringConstraints(pattern=r"^([0-9]{1,5}x[0-9]{1,5}|auto)$")] | None = Field(
        default=None, description="`WIDTHxHEIGHT` in pixels; `auto` or nothing: the model's own."
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        description="The same seed draws the same pictures; the i-th has seed + i. Default: random.",
    )
    response_format: Literal["b64_json"] | None = None
    output_format: Literal["png"] | None = None
    stream: Literal[False] | None = None
    moderation: Literal["auto"] | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None

    @field_validator("seed")
    @classmethod
    def _the_last_picture_has_a_seed(cls, seed: int | None, info: ValidationInfo) -> int | None:
        last = MAX_SEED + 1 - (info.data.get("n") or 1)
        if seed is not None and seed > last:
            raise PydanticCustomError("seed_too_large", "Input should be at most {last} with this n", {"last": last})
        return seed


class Picture(Strict):
    b64_json: str = Field(description="A PNG.")
    revised_prompt: str = Field(description="What the picture shows: the safe prompt, where one was drawn.")


class DrawnAs(Parameters):
    """How the picture with the same index in `data` was drawn."""

    notes: list[str] = Field(
        description="What a person should know: words the model does not read, a picture blanked or redrawn."
    )


class ImageResponse(Strict):
    created: int
    data: list[Picture]
    output_format: Literal["png"] = "png"
    verdict: Verdict
    drawing: list[DrawnAs] = Field(description="How each picture was drawn.")
    blocked: list[DrawnAs] = Field(
        description="How pictures were drawn that are withheld because they came out unsafe."
    )


@router.post("/v1/images/generations")
async def images(request: Request, caller: Drawer, body: ImageRequest, header: LocaleHeader = None) -> ImageResponse:
    """Draw what the verdict allows. A block is a 400, a failure to judge a 503, both with the verdict."""
    n = body.n or 1
    await caller.charge(n - 1)
    detector, size = detector_of(body.model), _size(body.size)
    locale = header if body.locale is None else body.locale
    verdict = await judge_in(
        body.conversation_id, caller, [ChatMessage(role="user", content=body.prompt)], locale, detector, "prompt"
    )
    if verdict.action is Action.BLOCK:
        failed = verdict.status is Status.ERROR
        raise ApiError(
            503 if failed else 400,
            reply(verdict),
            "moderation_unavailable" if failed else "content_policy_violation",
            "prompt",
            verdict,
        )
    seed = secrets.randbelow(MAX_SEED + 2 - n) if body.seed is None else body.seed
    with STEP_SECONDS.labels("draw").time():
        order = _draw_request(verdict, n, seed, size)
        try:
            drawn = await while_connected(request, draw(caller.service.backend, caller.service.settings, order))
        except ClientDisconnect:
            raise ApiError(499, "The caller disconnected.", "gone") from None
    accounts = [
        DrawnAs(**parameters.model_dump(), notes=notes)
        for parameters, notes in zip(drawn.parameters, drawn.notes, strict=True)
    ]
    shown = [(image, account) for image, account in zip(drawn.images, accounts, strict=True) if image is not None]
    if not shown:
        reason = f"The picture came out unsafe and is withheld. {accounts[0].notes[-1]}"
        raise ApiError(400, reason, "content_policy_violation", "prompt", verdict)
    return ImageResponse(
        created=int(time.time()),
        data=[Picture(b64_json=image, revised_prompt=account.prompt) for image, account in shown],
        verdict=verdict,
        drawing=[account for _, account in shown],
        blocked=[account for image, account in zip(drawn.images, accounts, strict=True) if image is None],
    )


def _size(size: str | None) -> tuple[int, int] | None:
    """Width and height in pixels; None for the model's own size.

    Raises:
        ApiError: 400 if a side is out of range, or not a multiple of 8, the autoencoders' step.
    """
    if size is None or size == "auto":
        return None
    width, height = map(int, size.split("x"))
    if any(side % 8 or not MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
        message = f"size: each side must be a multiple of 8 from {MIN_SIDE} to {MAX_SIDE} pixels, not {size}."
        raise ApiError(400, message, "invalid_size", "size")
    return width, height


def _draw_request(verdict: Verdict, n: int, seed: int, size: tuple[int, int] | None) -> DrawRequest:
    width, height = size or (None, None)
    try:
        return DrawRequest.for_verdict(verdict, n=n, seed=seed, width=width, height=height)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = {"safe_prompt": "prompt"}.get(str(first["loc"][0]), str(first["loc"][0]))
        raise ApiError(400, f"{field}: {first['msg']}; it cannot be drawn.", "generator_refused", field) from None
