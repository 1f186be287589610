"""`POST /v1/images/generations`: judged first, then drawn by the worker as the verdict says."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any, Literal

import httpx
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from agent.api.errors import ApiError
from agent.api.schema import Asking, LocaleHeader, Text, detector_of, judge, moderator_of
from agent.schema import Action, ChatMessage, Status, Strict, Verdict
from agent.settings import Settings

router = APIRouter()

MIN_SIDE, MAX_SIDE = 64, 2048


class ImageRequest(Asking):
    """OpenAI's fields and `seed`; those that choose a style are taken and have no effect."""

    prompt: Text
    n: int | None = Field(default=1, ge=1, le=10)
    size: Annotated[str, StringConstraints(pattern=r"^([0-9]{1,5}x[0-9]{1,5}|auto)$")] | None = None
    seed: int | None = Field(default=None, ge=0, lt=2**63, description="Same seed, same pictures; drawn if left out.")
    response_format: Literal["b64_json"] | None = None
    output_format: Literal["png"] | None = None
    stream: Literal[False] | None = None
    moderation: Literal["auto"] | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None


class Picture(Strict):
    b64_json: str
    revised_prompt: str


class Drawn(BaseModel, extra="allow"):
    """What the worker answers: pictures, and whatever it tells of how it drew them."""

    images: list[str] = Field(description="Base64 PNGs.")


class ImageResponse(Strict):
    created: int
    data: list[Picture]
    output_format: Literal["png"] = "png"
    verdict: Verdict
    drawing: dict[str, Any] = Field(description="The worker's own account of how it drew.")


@router.post("/v1/images/generations")
async def images(request: Request, body: ImageRequest, header: LocaleHeader = None) -> ImageResponse:
    """Draws what the verdict lets through; a block is a 400 with the verdict in the error."""
    moderator = moderator_of(request)
    detector, size = detector_of(body.model), _size(body.size)
    locale = header if body.locale is None else body.locale
    verdict = await judge(moderator, [ChatMessage(role="user", content=body.prompt)], locale, detector, "prompt")
    if verdict.action is Action.BLOCK:
        failed = verdict.status is Status.ERROR
        raise ApiError(
            503 if failed else 400,
            verdict.message or "The prompt is blocked.",
            "moderation_unavailable" if failed else "content_policy_violation",
            "prompt",
            verdict=verdict.model_dump(mode="json"),
        )
    drawn = await _draw(
        moderator.settings,
        {
            "prompt": verdict.prompt, "safe_prompt": verdict.safe_prompt, "wxi": verdict.wxi, "tau_gc": verdict.tau_gc,
            "n": body.n or 1, "seed": secrets.randbelow(2**31) if body.seed is None else body.seed, **size,
        },
    )  # fmt: skip
    revised = verdict.safe_prompt or verdict.prompt
    pictures = [Picture(b64_json=image, revised_prompt=revised) for image in drawn.images]
    return ImageResponse(created=int(time.time()), data=pictures, verdict=verdict, drawing=drawn.model_extra or {})


def _size(size: str | None) -> dict[str, int]:
    """`width` and `height` in pixels; without a size the worker draws its model's own.

    Raises:
        ApiError: where a side is out of range or no multiple of 8, the autoencoders' step.
    """
    if size is None or size == "auto":
        return {}
    width, height = map(int, size.split("x"))
    if any(side % 8 or not MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
        message = f"size: each side is a multiple of 8 from {MIN_SIDE} to {MAX_SIDE} pixels, not {size}."
        raise ApiError(400, message, "invalid_size", "size")
    return {"width": width, "height": height}


async def _draw(settings: Settings, order: dict[str, Any]) -> Drawn:
    """The worker's answer.

    Raises:
        ApiError: 400 with the worker's reason where it refuses, 503 where it fails or is not there.
    """
    url = settings.generator_base_url
    try:
        async with httpx.AsyncClient(timeout=settings.generator_timeout_s, trust_env=False) as client:
            answer = await client.post(f"{url}/v1/draw", json=order)
    except httpx.HTTPError as error:
        message = f"The drawing worker does not answer at {url} ({type(error).__name__}); is it running?"
        raise ApiError(503, message, "generator_unavailable") from None
    if answer.is_server_error:
        raise ApiError(503, "The drawing worker failed; its log says why.", "generator_failed")
    if answer.is_client_error:
        raise ApiError(400, f"The drawing worker refuses: {answer.text[:500]}", "generator_refused")
    try:
        return Drawn.model_validate_json(answer.content)
    except ValidationError:
        message = f"What answers at {url} is no drawing worker; mend PROPRIETY_GENERATOR_URL."
        raise ApiError(503, message, "generator_failed") from None
