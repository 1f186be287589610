"""What the drawing worker is asked and what it answers: the API's side of `POST /v1/draw`."""

from __future__ import annotations

from typing import Any

import httpx
from pydantic import Field, ValidationError

from agent.api.errors import ApiError
from agent.schema import Probability, Strict
from agent.settings import Settings

MAX_SEED = 2**32 - 1  # the i-th picture takes seed + i

# The caller knows the worker's fields by other names.
FIELDS = {"width": "size", "height": "size", "safe_prompt": "prompt"}


class Parameters(Strict):
    """How one picture was really drawn."""

    prompt: str = Field(description="What the picture shows: the safe prompt, where one was drawn.")
    wxi: Probability = Field(description="w_ξ, weight of the safe branch while both are drawn.")
    tau_gc: Probability = Field(description="τ_gc, fraction of the steps in which both are drawn.")
    fused_steps: int = Field(ge=0, description="Steps in which the original prompt took part.")
    denoiser_rows: int = Field(ge=0, description="Rows of the denoiser's batch that it took, over all steps: its cost.")
    seed: int = Field(ge=0, le=MAX_SEED, description="Draws the same picture again, as a request's `seed`.")
    steps: int = Field(ge=1, description="Steps of the sampler.")
    guidance_scale: float = Field(description="Weight of classifier-free guidance; 1 is unguided.")
    width: int = Field(ge=1, description="Pixels.")
    height: int = Field(ge=1, description="Pixels.")
    sampler: str = Field(description="`ddim` or `euler`.")
    model: str = Field(description="The model that drew.")


class Drawn(Strict):
    """The worker's answer: image, parameters and notes of the same index belong together."""

    images: list[str] = Field(description="Base64 PNGs.")
    parameters: list[Parameters]
    notes: list[list[str]]


class Fault(Strict):
    """Why the worker did not draw; `param` is the field that it refuses."""

    message: str
    param: str | None
    type: str


class Refusal(Strict):
    error: Fault


async def draw(settings: Settings, order: dict[str, Any]) -> Drawn:
    """`order["n"]` pictures.

    Raises:
        ApiError: 400 with the worker's reason where it refuses, 503 where it fails, is loading or is not there.
    """
    url = settings.generator_base_url
    stranger = ApiError(
        503, f"What answers at {url} is no drawing worker; mend PROPRIETY_GENERATOR_URL.", "generator_failed"
    )
    try:
        async with httpx.AsyncClient(timeout=settings.generator_timeout_s, trust_env=False) as client:
            answer = await client.post(f"{url}/v1/draw", json=order)
    except httpx.HTTPError as error:
        message = f"The drawing worker does not answer at {url} ({type(error).__name__}); is it running?"
        raise ApiError(503, message, "generator_unavailable") from None
    try:
        if answer.is_error:
            fault = Refusal.model_validate_json(answer.content).error
        else:
            drawn = Drawn.model_validate_json(answer.content)
    except ValidationError:
        raise stranger from None
    if answer.is_server_error:
        code = "generator_unavailable" if answer.status_code == 503 else "generator_failed"
        raise ApiError(503, f"The drawing worker: {fault.message}", code)
    if answer.is_error:
        param = fault.param and FIELDS.get(fault.param, fault.param)
        raise ApiError(400, f"The drawing worker refuses: {fault.message}", "generator_refused", param)
    if {len(drawn.images), len(drawn.parameters), len(drawn.notes)} != {order["n"]}:
        raise stranger
    return drawn
