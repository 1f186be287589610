"""OpenAI's images API, and whatever speaks it: `POST {generator_url}/images/generations`."""

from __future__ import annotations

import base64
from typing import Any

import httpx
from pydantic import BaseModel

from agent.api.errors import ApiError
from agent.api.order import Drawn, Order, drawn_alone
from agent.settings import Settings


class Image(BaseModel):
    """A picture, or, of older models, where it lies for an hour."""

    b64_json: str | None = None
    url: str | None = None


class Answer(BaseModel):
    data: list[Image]


async def draw(client: httpx.AsyncClient, settings: Settings, order: Order) -> Drawn:
    """`generator_model` is the model's name there. The API takes no seed, so pictures cannot be drawn again.

    Raises:
        ApiError: 400 where it refuses, with its reason.
    """
    body: dict[str, Any] = {"model": settings.generator_model, "prompt": order.safe_prompt, "n": order.n}
    if order.width and order.height:
        body["size"] = f"{order.width}x{order.height}"
    response = await client.post("/images/generations", json=body)
    if response.status_code == 400:
        reason = response.json()["error"]["message"]
        raise ApiError(400, f"The image backend refuses: {reason}", "generator_refused")
    answer = Answer.model_validate_json(response.raise_for_status().content)
    return drawn_alone(order, [await _base64(image) for image in answer.data], model=settings.generator_model)


async def _base64(image: Image) -> str:
    if image.b64_json:
        return image.b64_json
    if not image.url:
        raise ValueError("an image has neither b64_json nor url")
    async with httpx.AsyncClient(trust_env=False) as client:  # the bearer token is not for the place of storage
        return base64.b64encode((await client.get(image.url)).raise_for_status().content).decode()
