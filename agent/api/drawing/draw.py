"""Pictures from whichever backend the settings name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import httpx

from agent.api.drawing import a1111, comfyui, openai, worker
from agent.api.drawing.bounded import BoundedTransport
from agent.api.drawing.finish import finish
from agent.api.drawing.order import Drawn, Order
from agent.api.errors import ApiError
from agent.settings import Backend, Settings
from propriety.telemetry.logs import request_id

log = logging.getLogger("propriety")

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
            or is not there; then the log says where that is, which is none of the caller's business.
    """
    backend, url, key = settings.generator_backend, settings.generator_base_url, settings.generator_api_key
    headers = {"X-Request-ID": request_id.get()} | (
        {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    )
    name = "drawing worker" if backend is Backend.PROPRIETY else f"{backend} backend"
    limit_s = settings.generator_timeout_s
    try:
        async with (
            asyncio.timeout(limit_s),
            httpx.AsyncClient(
                base_url=url, headers=headers, timeout=limit_s, transport=BoundedTransport(trust_env=False)
            ) as client,
        ):
            drawn = await BACKENDS[backend](client, settings, order)
        if backend is not Backend.PROPRIETY:
            drawn = await asyncio.to_thread(finish, settings, order, drawn)
    except httpx.HTTPStatusError as error:
        raise _failed(name, error.response) from None
    except (httpx.HTTPError, TimeoutError) as error:
        log.error("the %s does not answer at %s (%s); is it running?", name, url, type(error).__name__)
        raise ApiError(503, f"The {name} does not answer; the log says where.", "generator_unavailable") from None
    except (LookupError, TypeError, ValueError, OSError):
        raise _stranger(name, url) from None
    if {len(drawn.images), len(drawn.parameters), len(drawn.notes)} != {order.n}:
        raise _stranger(name, url)
    return drawn


def _stranger(name: str, url: str) -> ApiError:
    mend = "mend PROPRIETY_GENERATOR_URL or PROPRIETY_GENERATOR_BACKEND"
    log.error("what answers at %s is no %s, or a broken one; %s", url, name, mend)
    return ApiError(503, f"What answers as the {name} is none; the log says more.", "generator_failed")


def _failed(name: str, response: httpx.Response) -> ApiError:
    log.error("the %s answers %d to %s; its own log says why", name, response.status_code, response.request.url.path)
    message = f"The {name} fails, with status {response.status_code}."
    if response.status_code == 429:
        return ApiError(
            429, message, "generator_busy", headers={"Retry-After": response.headers.get("Retry-After", "1")}
        )
    return ApiError(503, message, "generator_failed")
