"""Each request's id, its line in the log and its time; and `GET /metrics`."""

from __future__ import annotations

import logging
import re
import time
from uuid import uuid4

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.api.access import Operator
from agent.logs import request_id
from agent.metrics import IN_PROGRESS, REQUEST_SECONDS

log = logging.getLogger("propriety")
router = APIRouter()

QUIET = {"/healthz", "/readyz", "/metrics"}  # asked every few seconds; counted, not logged
HEADER = b"x-request-id"
WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,128}")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(caller: Operator) -> Response:
    """This process's metrics, in Prometheus's text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class Observed:
    """ASGI middleware: a request keeps the id that it came with in `X-Request-ID`, or gets one, and is told it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(HEADER, b"")
        name = given if WELL_FORMED.fullmatch(given) else uuid4().hex.encode()
        request_id.set(name.decode())
        status, started = 500, time.perf_counter()

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER, name)]
            await send(message)

        IN_PROGRESS.inc()
        try:
            await self.app(scope, receive, told)
        finally:
            IN_PROGRESS.dec()
            seconds = time.perf_counter() - started
            # The route as declared, since paths hold ids, of which there is no end; none where nothing matched.
            route = getattr(scope.get("route"), "path", "")
            REQUEST_SECONDS.labels(scope["method"] if route else "", route, status).observe(seconds)
            if route not in QUIET:
                told_of = {"method": scope["method"], "route": route, "status": status, "ms": round(seconds * 1000, 2),
                           "tenant": scope.get("state", {}).get("tenant", "")}  # fmt: skip
                log.info("answered", extra=told_of)
