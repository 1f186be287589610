"""Propriety's own drawing worker, `POST /v1/draw`: the one backend that draws both prompts."""

from __future__ import annotations

import asyncio
import logging

import httpx

from agent.api.errors import ApiError
from agent.settings import Settings
from propriety.drawing import DrawRequest, DrawResponse, WorkerFault

log = logging.getLogger("propriety")

# The caller knows these fields of the worker by other names.
CALLERS_FIELDS = {"width": "size", "height": "size", "safe_prompt": "prompt"}


async def draw(client: httpx.AsyncClient, settings: Settings, request: DrawRequest) -> DrawResponse:
    """Draw with the worker.

    Raises:
        ApiError: 400 if the worker refuses the request, 429 if it is busy, 503 if it fails or is still loading.
    """
    response = await client.post("/v1/draw", json=request.model_dump(mode="json", exclude_unset=True))
    if response.is_success:
        return await asyncio.to_thread(DrawResponse.model_validate_json, response.content)  # it may be large
    fault = WorkerFault.model_validate_json(response.content).error
    if response.status_code == 429:
        headers = {"Retry-After": response.headers.get("Retry-After", "1")}
        raise ApiError(429, f"The drawing worker is busy: {fault.message}", "generator_busy", headers=headers)
    if response.is_server_error:
        log.error("the drawing worker reported: %s", fault.message)
        if response.status_code == 503:
            raise ApiError(503, "The drawing worker is not ready; see the log.", "generator_unavailable")
        raise ApiError(503, "The drawing worker failed to draw; see its log.", "generator_failed")
    param = fault.param and CALLERS_FIELDS.get(fault.param, fault.param)
    raise ApiError(400, f"The drawing worker refused the request: {fault.message}", "generator_refused", param)
