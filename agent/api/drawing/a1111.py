"""AUTOMATIC1111's Stable Diffusion web UI, and what shares its interface: `POST /sdapi/v1/txt2img`."""

from __future__ import annotations

from typing import Any

import httpx
from pydantic import BaseModel, Json

from agent.api.drawing.order import Drawn, Order, drawn_alone
from agent.settings import DEMO_GENERATOR, Settings


class Info(BaseModel):
    """What of the answer's `info`, JSON in a string, is told on."""

    all_seeds: list[int]
    steps: int
    cfg_scale: float
    sampler_name: str
    sd_model_name: str | None = None


class Answer(BaseModel):
    images: list[str]
    info: Json[Info]


async def draw(client: httpx.AsyncClient, settings: Settings, order: Order) -> Drawn:
    """The checkpoint is the one that is loaded there, unless `generator_model` names one."""
    body: dict[str, Any] = {"prompt": order.safe_prompt, "seed": order.seed, "n_iter": order.n}
    if order.width and order.height:
        body |= {"width": order.width, "height": order.height}
    if settings.generator_model != DEMO_GENERATOR:
        body["override_settings"] = {"sd_model_checkpoint": settings.generator_model}
    response = await client.post("/sdapi/v1/txt2img", json=body)
    answer = Answer.model_validate_json(response.raise_for_status().content)
    info = answer.info
    return drawn_alone(
        order,
        answer.images[-order.n :],  # a grid of all of them may come first
        seeds=info.all_seeds,
        steps=info.steps,
        guidance_scale=info.cfg_scale,
        sampler=info.sampler_name,
        model=info.sd_model_name or settings.generator_model,
    )
