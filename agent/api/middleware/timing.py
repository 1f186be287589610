"""How many requests there are, and how long they take."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.metrics import IN_PROGRESS, REQUEST_SECONDS
from propriety.telemetry.access_log import route_of


class Timing:
    """ASGI middleware: counts and times requests, by the route as declared; paths contain ids."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with IN_PROGRESS.track_inprogress():
            try:
                await self.app(scope, receive, send_and_note)
            finally:
                route, seconds = route_of(scope), time.perf_counter() - started
                REQUEST_SECONDS.labels(scope["method"] if route else "", route, status).observe(seconds)
