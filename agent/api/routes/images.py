"""`POST /v1/images/generations`: judged first, then drawn as the verdict says."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from agent.api.access import Drawer
from agent.api.drawing.draw import draw
from agent.api.drawing.order import MAX_SEED, Drawn, Order, Parameters
from agent.api.errors import ApiError
from agent.api.fields import Asking, LocaleHeader, Text, detector_of
from agent.api.routes.conversations import judge_in, reply
from agent.metrics import STEP_SECONDS
from agent.store.conversations import ConversationId
from propriety.verdict import Action, ChatMessage, Status, Strict, Verdict

router = APIRouter()

MIN_SIDE, MAX_SIDE = 64, 2048


class ImageRequest(Asking):
    """OpenAI's fields and `seed`; those that choose a style are taken and have no effect."""

    prompt: Text
    conversation_id: ConversationId | None = None
    n: int | None = Field(default=1, ge=1, le=10)
    size: Annotated[str, StringConstraints(pattern=r"^([0-9]{1,5}x[0-9]{1,5}|auto)$")] | None = Field(
        default=None, description="`WIDTHxHEIGHT` in pixels, or `auto`: the model's own, as where it is left out."
    )
    seed: int | None = Field(
        default=None, ge=0, description="Same seed, same pictures, the i-th from seed + i; drawn if left out."
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


class Drawing(Parameters):
    """How the picture of the same index in `data` was drawn."""

    notes: list[str] = Field(
        description="What a person should know: words the model does not know, a picture blanked or drawn again."
    )


class ImageResponse(Strict):
    created: int
    data: list[Picture]
    output_format: Literal["png"] = "png"
    verdict: Verdict
    drawing: list[Drawing] = Field(description="The generator's account of how it drew each picture.")
    blocked: list[Drawing] = Field(
        description="Its account of pictures that are not shown, since they came out unsafe."
    )


@router.post("/v1/images/generations")
async def images(request: Request, caller: Drawer, body: ImageRequest, header: LocaleHeader = None) -> ImageResponse:
    """Draws what the verdict lets through; a block is a 400, a failure to judge a 503, both with the verdict."""
    n = body.n or 1
    caller.limits.charge(caller.tenant, n - 1)
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
        drawn = await _while_connected(request, draw(caller.moderator.settings, Order.under(verdict, n, seed, size)))
    accounts = [
        Drawing(**parameters.model_dump(), notes=notes)
        for parameters, notes in zip(drawn.parameters, drawn.notes, strict=True)
    ]
    shown = [(image, account) for image, account in zip(drawn.images, accounts, strict=True) if image is not None]
    if not shown:
        reason = f"What was drawn came out unsafe and is not shown. {accounts[0].notes[-1]}"
        raise ApiError(400, reason, "content_policy_violation", "prompt", verdict)
    return ImageResponse(
        created=int(time.time()),
        data=[Picture(b64_json=image, revised_prompt=account.prompt) for image, account in shown],
        verdict=verdict,
        drawing=[account for _, account in shown],
        blocked=[account for image, account in zip(drawn.images, accounts, strict=True) if image is None],
    )


async def _while_connected(request: Request, drawing: Coroutine[Any, Any, Drawn]) -> Drawn:
    """What is drawn; when the caller goes, the backend is left too, so that it need not draw.

    Raises:
        ApiError: 499 where the caller has gone, which nobody reads.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    drawn, left = asyncio.ensure_future(drawing), asyncio.ensure_future(gone())
    await asyncio.wait({drawn, left}, return_when=asyncio.FIRST_COMPLETED)
    left.cancel()
    if not drawn.done():
        drawn.cancel()
        raise ApiError(499, "The caller has gone.", "gone")
    return drawn.result()


def _size(size: str | None) -> tuple[int, int] | None:
    """Width and height in pixels; without a size the model's own is drawn.

    Raises:
        ApiError: where a side is out of range or no multiple of 8, the autoencoders' step.
    """
    if size is None or size == "auto":
        return None
    width, height = map(int, size.split("x"))
    if any(side % 8 or not MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
        message = f"size: each side is a multiple of 8 from {MIN_SIDE} to {MAX_SIDE} pixels, not {size}."
        raise ApiError(400, message, "invalid_size", "size")
    return width, height
