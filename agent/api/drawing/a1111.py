"""AUTOMATIC1111's Stable Diffusion web UI, and servers with its interface: `POST /sdapi/v1/txt2img`."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from pydantic import BaseModel, Json

from agent.api.drawing.safe_alone import drawn_alone
from agent.settings import DEMO_GENERATOR, Settings
from propriety.drawing import DrawRequest, DrawResponse


class Info(BaseModel):
    """The fields that are passed on of the response's `info`, which is JSON in a string."""

    all_seeds: list[int]
    steps: int
    cfg_scale: float
    sampler_name: str
    sd_model_name: str | None = None


class Txt2ImgResponse(BaseModel):
    images: list[str]
    info: Json[Info]


async def draw(client: httpx.AsyncClient, settings: Settings, request: DrawRequest) -> DrawResponse:
    """Draw with the checkpoint that is loaded there, or the one that `generator_model` names."""
    body: dict[str, Any] = {"prompt": request.final_prompt, "seed": request.seed, "n_iter": request.n}
    if request.width and request.height:
        body |= {"width": request.width, "height": request.height}
    if settings.generator_model != DEMO_GENERATOR:
        body["override_settings"] = {"sd_model_checkpoint": settings.generator_model}
    response = await client.post("/sdapi/v1/txt2img", json=body)
    content = response.raise_for_status().content
    drawn = await asyncio.to_thread(Txt2ImgResponse.model_validate_json, content)  # it may be large
    info = drawn.info
    return drawn_alone(
        request,
        drawn.images[-request.n :],  # a grid of all images may come first
        seeds=info.all_seeds,
        steps=info.steps,
        guidance_scale=info.cfg_scale,
        sampler=info.sampler_name,
        model=info.sd_model_name or settings.generator_model,
    )
