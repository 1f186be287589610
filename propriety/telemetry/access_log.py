"""One log line for each request, and its id."""

from __future__ import annotations

import logging
import re
import time
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from propriety.telemetry.logs import request_id

log = logging.getLogger("propriety")

QUIET = {"/healthz", "/readyz", "/metrics"}  # polled every few seconds
HEADER = b"x-request-id"
VALID_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class AccessLog:
    """ASGI middleware: logs each request, and returns its id in `X-Request-ID`, the caller's own if it sent one.

    The line has the route as declared, not the path: paths contain ids.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(HEADER, b"")
        name = sent if VALID_ID.fullmatch(sent) else uuid4().hex.encode()
        request_id.set(name.decode())
        status, started = 500, time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER, name)]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            if (route := route_of(scope)) not in QUIET:
                tenant = scope.get("state", {}).get("tenant")
                ms = round((time.perf_counter() - started) * 1000, 2)
                fields = {"method": scope["method"], "route": route, "status": status, "ms": ms}
                log.info("answered", extra=fields | ({"tenant": tenant.name} if tenant else {}))


def route_of(scope: Scope) -> str:
    """The route as it was declared; empty if none matched."""
    return getattr(scope.get("route"), "path", "")
