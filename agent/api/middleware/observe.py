"""How many requests there are and how long they take; and `GET /metrics`."""

from __future__ import annotations

import time

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.api.access import Watcher
from agent.metrics import IN_PROGRESS, REQUEST_SECONDS
from propriety.telemetry.logs import route_of

router = APIRouter()


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(caller: Watcher) -> Response:
    """This process's metrics, in Prometheus's text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class Observed:
    """ASGI middleware: counts and times requests, by the route as declared, since of paths there is no end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with IN_PROGRESS.track_inprogress():
            try:
                await self.app(scope, receive, seen)
            finally:
                route, seconds = route_of(scope), time.perf_counter() - started
                REQUEST_SECONDS.labels(scope["method"] if route else "", route, status).observe(seconds)
