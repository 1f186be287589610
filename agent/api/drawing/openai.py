"""OpenAI's images API, and servers with the same interface: `POST {generator_url}/images/generations`."""

from __future__ import annotations

import asyncio
import base64
from ipaddress import ip_address
from typing import Any

import httpx
from pydantic import BaseModel

from agent.api.drawing.bounded import BoundedTransport
from agent.api.drawing.safe_alone import drawn_alone
from agent.api.errors import ApiError
from agent.settings import Settings
from propriety.drawing import DrawRequest, DrawResponse


class Image(BaseModel):
    """A picture, or from older models the URL where it is kept for an hour."""

    b64_json: str | None = None
    url: str | None = None


class ImagesResponse(BaseModel):
    data: list[Image]


async def draw(client: httpx.AsyncClient, settings: Settings, request: DrawRequest) -> DrawResponse:
    """Draw with the model that `generator_model` names. The API takes no seed, so a picture cannot be drawn again.

    Raises:
        ApiError: 400 with the backend's reason if it refuses the prompt.
    """
    body: dict[str, Any] = {"model": settings.generator_model, "prompt": request.final_prompt, "n": request.n}
    if request.width and request.height:
        body["size"] = f"{request.width}x{request.height}"
    response = await client.post("/images/generations", json=body)
    if response.status_code == 400:
        reason = response.json()["error"]["message"]
        raise ApiError(400, f"The image backend refused the prompt: {reason}", "generator_refused")
    content = response.raise_for_status().content
    drawn = await asyncio.to_thread(ImagesResponse.model_validate_json, content)  # it may be large
    return drawn_alone(request, [await _base64(image, client) for image in drawn.data], model=settings.generator_model)


async def _base64(image: Image, backend: httpx.AsyncClient) -> str:
    if image.b64_json:
        return image.b64_json
    try:
        url = httpx.URL(image.url or "")
    except httpx.InvalidURL as error:
        raise ValueError(f"an image has an invalid URL: {error}") from None
    if url.host != backend.base_url.host and not (url.scheme == "https" and await _public(url.host)):
        raise ValueError("an image is neither in b64_json, nor on the backend's host, nor at a public address")
    # Without the bearer token, which belongs to the backend alone.
    async with httpx.AsyncClient(timeout=backend.timeout, transport=BoundedTransport(trust_env=False)) as client:
        return base64.b64encode((await client.get(url)).raise_for_status().content).decode()


async def _public(host: str) -> bool:
    """Whether a host name resolves to public addresses only, so that a compromised backend cannot reach this network.

    A name that resolves differently a moment later still needs a valid certificate.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, 443)
    return all(ip_address(address[0]).is_global for *_, address in found)
