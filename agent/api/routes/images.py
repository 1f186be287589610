"""`POST /v1/images/generations`: the prompt is judged, then drawn as the verdict says. Links to the pictures."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import ConfigDict, Field, StringConstraints, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from starlette.requests import ClientDisconnect

from agent.api.access import Caller, Drawer
from agent.api.drawing.draw import draw
from agent.api.drawing.links import LINK_PATH, LINK_S
from agent.api.errors import ApiError
from agent.api.fields import OPENAI_IMAGES, Asking, LocaleHeader, Text, detector_of, refuse_unsupported
from agent.api.routes.conversations import judge_in, reply
from agent.api.service import service_of
from agent.metrics import STEP_SECONDS
from agent.store.conversations import ConversationId
from propriety.drawing import MAX_SEED, DrawRequest, DrawResponse, Parameters
from propriety.http import while_connected
from propriety.verdict import Action, ChatMessage, Status, Strict, Verdict

router = APIRouter()

MIN_SIDE, MAX_SIDE = 64, 2048
OPENAI_DEFAULT_SIZE = "1024x1024"


class ImageRequest(Asking):
    """OpenAI's fields and `seed`. `quality`, `style`, `output_compression` and `moderation` have no effect."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "a tree on a hill", "locale": "fr-FR"}]})

    prompt: Text
    conversation_id: ConversationId | None = None
    n: int | None = Field(default=1, ge=1, le=10)
    size: Annotated[str, StringConstraints(pattern=r"^([0-9]{1,5}x[0-9]{1,5}|auto)$")] | None = Field(
        default=None,
        description="`WIDTHxHEIGHT` in pixels; `auto` or nothing: the model's own. If the model cannot draw OpenAI's "
        f"default, `{OPENAI_DEFAULT_SIZE}`, its own size replaces it.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        description="The same seed draws the same pictures; the i-th has seed + i. Default: random.",
    )
    response_format: Literal["b64_json", "url"] | None = Field(
        default=None, description=f"`url`: a link that works without a key, for {LINK_S // 60} minutes."
    )
    output_format: str | None = Field(default=None, description="Only `png`.")
    background: str | None = Field(default=None, description="Not `transparent`.")
    stream: bool | None = Field(default=None, description="Not true.")

    @field_validator("seed")
    @classmethod
    def _the_last_picture_has_a_seed(cls, seed: int | None, info: ValidationInfo) -> int | None:
        last = MAX_SEED + 1 - (info.data.get("n") or 1)
        if seed is not None and seed > last:
            raise PydanticCustomError("seed_too_large", "Input should be at most {last} with this n", {"last": last})
        return seed


class Picture(Strict):
    b64_json: str | None = Field(description="A PNG; null if a link was requested.")
    url: str | None = Field(description="Where the PNG is; null if no link was requested.")
    revised_prompt: str = Field(description="What the picture shows: the safe prompt, where one was drawn.")


class DrawnAs(Parameters):
    """How the picture with the same index in `data` was drawn."""

    notes: list[str] = Field(
        description="What a person should know: words the model does not read, another size than requested, a picture "
        "blanked or redrawn."
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
    refuse_unsupported(
        {
            "stream": body.stream,
            "output_format": body.output_format not in (None, "png"),
            "background": body.background == "transparent",
        },
        "pictures are returned as whole, opaque PNGs",
    )
    n = body.n or 1
    detector, size = detector_of(body.model, OPENAI_IMAGES), _size(body.size)
    await caller.charge(n - 1)
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
        try:
            drawn = await while_connected(request, _drawn(caller, verdict, n, seed, size))
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
        data=[
            await _picture(request, image, account.prompt, body.response_format == "url") for image, account in shown
        ],
        verdict=verdict,
        drawing=[account for _, account in shown],
        blocked=[account for image, account in zip(drawn.images, accounts, strict=True) if image is None],
    )


async def _drawn(caller: Caller, verdict: Verdict, n: int, seed: int, size: tuple[int, int] | None) -> DrawResponse:
    """The pictures; at the model's own size if it cannot draw OpenAI's default size, which clients send unasked."""
    backend, settings = caller.service.backend, caller.service.settings
    try:
        return await draw(backend, settings, _draw_request(verdict, n, seed, size))
    except ApiError as error:
        if (error.code, error.param) != ("generator_refused", "size") or size != _size(OPENAI_DEFAULT_SIZE):
            raise
    drawn = await draw(backend, settings, _draw_request(verdict, n, seed, None))
    note = f"Drawn at the model's own size, since it cannot draw {OPENAI_DEFAULT_SIZE}."
    return drawn.model_copy(update={"notes": [[note, *notes] for notes in drawn.notes]})


async def _picture(request: Request, image: str, prompt: str, as_link: bool) -> Picture:
    if not as_link:
        return Picture(b64_json=image, url=None, revised_prompt=prompt)
    token = service_of(request.app).links.add(await asyncio.to_thread(base64.b64decode, image))
    return Picture(b64_json=None, url=str(request.url_for("picture", token=token)), revised_prompt=prompt)


@router.get(LINK_PATH + "{token}.png", response_class=Response, responses={200: {"content": {"image/png": {}}}})
async def picture(request: Request, token: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]) -> Response:
    """A picture by its link, which is known only to the caller that it was drawn for. Needs no key."""
    image = service_of(request.app).links.find(token)
    if image is None:
        raise ApiError(404, "The link has expired, or never existed.", "not_found", "token")
    return Response(image, media_type="image/png")


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
