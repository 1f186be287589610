"""Pictures from the backend that the settings name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import httpx

from agent.api.drawing import a1111, comfyui, openai, worker
from agent.api.drawing.bounded import BoundedTransport
from agent.api.drawing.finish import finish
from agent.api.errors import ApiError
from agent.settings import Backend, Settings
from propriety.drawing import DrawRequest, DrawResponse
from propriety.telemetry.logs import request_id

log = logging.getLogger("propriety")

BACKENDS: dict[Backend, Callable[[httpx.AsyncClient, Settings, DrawRequest], Awaitable[DrawResponse]]] = {
    Backend.PROPRIETY: worker.draw,
    Backend.A1111: a1111.draw,
    Backend.COMFYUI: comfyui.draw,
    Backend.OPENAI: openai.draw,
}


def backend_client(settings: Settings) -> httpx.AsyncClient:
    """The HTTP client for the backend; it sends the id of the request that it draws for."""
    key = settings.generator_api_key

    async def send_request_id(request: httpx.Request) -> None:
        request.headers["X-Request-ID"] = request_id.get()

    return httpx.AsyncClient(
        base_url=settings.generator_base_url,
        headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
        timeout=settings.generator_timeout_s,
        transport=BoundedTransport(trust_env=False),
        event_hooks={"request": [send_request_id]},
    )


async def draw(client: httpx.AsyncClient, settings: Settings, request: DrawRequest) -> DrawResponse:
    """Draw `request.n` pictures.

    Raises:
        ApiError: 400 with the backend's reason if it refuses, 429 if it is busy, 503 if it fails, is loading or cannot
            be reached. The address is in the log only, since callers have no business with it.
    """
    backend, url = settings.generator_backend, settings.generator_base_url
    name = "drawing worker" if backend is Backend.PROPRIETY else f"{backend} backend"
    try:
        async with asyncio.timeout(settings.generator_timeout_s):
            drawn = await BACKENDS[backend](client, settings, request)
        if backend is not Backend.PROPRIETY:
            drawn = await asyncio.to_thread(finish, settings, request, drawn)
    except httpx.HTTPStatusError as error:
        raise _failed(name, error.response) from None
    except (httpx.HTTPError, TimeoutError) as error:
        log.error("the %s at %s does not respond (%s); is it running?", name, url, type(error).__name__)
        raise ApiError(503, f"The {name} does not respond; see the log.", "generator_unavailable") from None
    except (LookupError, TypeError, ValueError, OSError):
        raise _invalid(name, url) from None
    if {len(drawn.images), len(drawn.parameters), len(drawn.notes)} != {request.n}:
        raise _invalid(name, url)
    return drawn


def _invalid(name: str, url: str) -> ApiError:
    fix = "check PROPRIETY_GENERATOR_URL and PROPRIETY_GENERATOR_BACKEND"
    log.error("the server at %s returned an invalid response for a %s; %s", url, name, fix)
    return ApiError(503, f"The {name} returned an invalid response; see the log.", "generator_failed")


def _failed(name: str, response: httpx.Response) -> ApiError:
    log.error("the %s returned %d to %s; see its log", name, response.status_code, response.request.url.path)
    message = f"The {name} returned status {response.status_code}."
    if response.status_code == 429:
        return ApiError(
            429, message, "generator_busy", headers={"Retry-After": response.headers.get("Retry-After", "1")}
        )
    return ApiError(503, message, "generator_failed")
