"""Pictures from whichever backend the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from agent.api.backends import a1111, comfyui, openai, worker
from agent.api.errors import ApiError
from agent.api.finish import finish
from agent.api.order import Drawn, Order
from agent.logs import request_id
from agent.settings import Backend, Settings

BACKENDS: dict[Backend, Callable[[httpx.AsyncClient, Settings, Order], Awaitable[Drawn]]] = {
    Backend.PROPRIETY: worker.draw,
    Backend.A1111: a1111.draw,
    Backend.COMFYUI: comfyui.draw,
    Backend.OPENAI: openai.draw,
}


async def draw(settings: Settings, order: Order) -> Drawn:
    """`order.n` pictures.

    Raises:
        ApiError: 400 with the backend's reason where it refuses, 429 where it is busy, 503 where it fails, is loading
            or is not there.
    """
    backend, url, key = settings.generator_backend, settings.generator_base_url, settings.generator_api_key
    headers = {"X-Request-ID": request_id.get()} | (
        {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    )
    name = "drawing worker" if backend is Backend.PROPRIETY else f"{backend} backend"
    mend = "mend PROPRIETY_GENERATOR_URL or PROPRIETY_GENERATOR_BACKEND"
    stranger = ApiError(503, f"What answers at {url} is no {name}; {mend}.", "generator_failed")
    limit_s = settings.generator_timeout_s
    try:
        async with (
            asyncio.timeout(limit_s),
            httpx.AsyncClient(base_url=url, headers=headers, timeout=limit_s, trust_env=False) as client,
        ):
            drawn = await BACKENDS[backend](client, settings, order)
        if backend is not Backend.PROPRIETY:
            drawn = await asyncio.to_thread(finish, settings, order, drawn)
    except httpx.HTTPStatusError as error:
        raise _failed(name, error.response) from None
    except (httpx.HTTPError, TimeoutError) as error:
        message = f"The {name} does not answer at {url} ({type(error).__name__}); is it running?"
        raise ApiError(503, message, "generator_unavailable") from None
    except (LookupError, TypeError, ValueError, OSError):
        raise stranger from None
    if {len(drawn.images), len(drawn.parameters), len(drawn.notes)} != {order.n}:
        raise stranger
    return drawn


def _failed(name: str, response: httpx.Response) -> ApiError:
    message = f"The {name} answers {response.status_code} to {response.request.url.path}: {response.text[:300]}"
    if response.status_code == 429:
        return ApiError(
            429, message, "generator_busy", headers={"Retry-After": response.headers.get("Retry-After", "1")}
        )
    return ApiError(503, message, "generator_failed")
