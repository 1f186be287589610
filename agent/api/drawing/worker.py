"""Propriety's own drawing worker, `POST /v1/draw`: the one backend that draws both prompts."""

from __future__ import annotations

import logging

import httpx

from agent.api.drawing.order import Drawn, Order
from agent.api.errors import ApiError
from agent.settings import Settings
from propriety.verdict import Strict

log = logging.getLogger("propriety")

# The caller knows the worker's fields by other names.
FIELDS = {"width": "size", "height": "size", "safe_prompt": "prompt"}


class Fault(Strict):
    """Why the worker did not draw; `param` is the field that it refuses."""

    message: str
    param: str | None
    type: str


class Refusal(Strict):
    error: Fault


async def draw(client: httpx.AsyncClient, settings: Settings, order: Order) -> Drawn:
    """Raises `ApiError`: 400 where the worker refuses, 429 where it is busy, 503 where it fails or is not ready."""
    answer = await client.post("/v1/draw", json=order.model_dump(mode="json"))
    if answer.is_success:
        return Drawn.model_validate_json(answer.content)
    fault = Refusal.model_validate_json(answer.content).error
    if answer.status_code == 429:
        later = {"Retry-After": answer.headers.get("Retry-After", "1")}
        raise ApiError(429, f"The drawing worker is busy: {fault.message}", "generator_busy", headers=later)
    if answer.is_server_error:
        log.error("the drawing worker: %s", fault.message)
        if answer.status_code == 503:
            raise ApiError(503, "The drawing worker is not ready; the log says why.", "generator_unavailable")
        raise ApiError(503, "The drawing worker failed to draw; its log says why.", "generator_failed")
    param = fault.param and FIELDS.get(fault.param, fault.param)
    raise ApiError(400, f"The drawing worker refuses: {fault.message}", "generator_refused", param)
