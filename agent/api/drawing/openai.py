"""OpenAI's images API, and whatever speaks it: `POST {generator_url}/images/generations`."""

from __future__ import annotations

import asyncio
import base64
from ipaddress import ip_address
from typing import Any

import httpx
from pydantic import BaseModel

from agent.api.drawing.bounded import BoundedTransport
from agent.api.drawing.order import Drawn, Order, drawn_alone
from agent.api.errors import ApiError
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
    return drawn_alone(order, [await _base64(image, client) for image in answer.data], model=settings.generator_model)


async def _base64(image: Image, backend: httpx.AsyncClient) -> str:
    if image.b64_json:
        return image.b64_json
    try:
        url = httpx.URL(image.url or "")
    except httpx.InvalidURL as error:
        raise ValueError(f"an image is at no address: {error}") from None
    if url.host != backend.base_url.host and not (url.scheme == "https" and await _public(url.host)):
        raise ValueError("an image is neither in b64_json, nor at the backend itself, nor on the internet")
    # The bearer token is not for the place of storage.
    async with httpx.AsyncClient(timeout=backend.timeout, transport=BoundedTransport(trust_env=False)) as client:
        return base64.b64encode((await client.get(url)).raise_for_status().content).decode()


async def _public(host: str) -> bool:
    """Whether a name leads to the internet alone: a backend that was taken over must not see what is behind this one.

    A name that leads elsewhere a moment later still needs the certificate of what it names.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, 443)
    return all(ip_address(address[0]).is_global for *_, address in found)
