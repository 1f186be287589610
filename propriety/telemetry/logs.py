"""The log of API and generator: one JSON object a line, with the request's id, and no prompt unless a setting says so.

python-json-logger writes the lines; what it is not told it does not hide, so exceptions are cut here.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from contextvars import ContextVar
from types import TracebackType
from typing import Any
from uuid import uuid4

from pythonjsonlogger.json import JsonFormatter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.settings import LogFormat
from propriety.verdict import Verdict

request_id: ContextVar[str] = ContextVar("request_id", default="")

log = logging.getLogger("propriety")

QUIET = {"/healthz", "/readyz", "/metrics"}  # asked every few seconds
HEADER = b"x-request-id"
WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,128}")

FIELDS = "{asctime}{levelname}{name}{message}{request_id}"
TEXT = "{asctime} {levelname} {request_id} {message}"
NAMES = {"asctime": "time", "levelname": "level", "name": "logger"}


class _Cut:
    """Exceptions without their messages, which may quote a prompt: what was raised, from what, and where."""

    def formatException(self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | Any) -> str:
        error, parts = ei[1], list[str]()
        while error is not None and len(parts) < 10:
            frames = "".join(traceback.format_tb(error.__traceback__))
            parts.append(f"{type(error).__module__}.{type(error).__qualname__}\n{frames}")
            error = error.__cause__ or error.__context__
        return "\ncaused by ".join(parts).rstrip()


class _CutJson(_Cut, JsonFormatter):
    pass


class _CutText(_Cut, logging.Formatter):
    pass


def configure_logs(log_format: LogFormat, prompts: bool) -> None:
    """Write the process's log to standard error, uvicorn's too; without `prompts`, nothing that may quote one."""
    cut = not prompts
    json = (_CutJson if cut else JsonFormatter)(FIELDS, style="{", rename_fields=NAMES, json_ensure_ascii=False)
    text = (_CutText if cut else logging.Formatter)(TEXT, style="{")
    formatter: logging.Formatter = json if log_format is LogFormat.JSON else text
    formatter.converter = time.gmtime
    formatter.default_time_format, formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_identified)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    log.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.access").disabled = True  # `Logged` says more


def _identified(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    vars(record).pop("color_message", None)  # uvicorn's, of the message for terminals
    return True


class Logged:
    """ASGI middleware: a request keeps the id that it came with in `X-Request-ID`, or gets one, and is told it.

    Its line in the log has the route as declared, since paths hold ids, of which there is no end.
    """

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

        try:
            await self.app(scope, receive, told)
        finally:
            if (route := route_of(scope)) not in QUIET:
                tenant = scope.get("state", {}).get("tenant")
                seconds = time.perf_counter() - started
                told_of = {"method": scope["method"], "route": route, "status": status, "ms": round(seconds * 1000, 2)}
                log.info("answered", extra=told_of | ({"tenant": tenant.name} if tenant else {}))


def route_of(scope: Scope) -> str:
    """The route as it was declared; empty where none matched."""
    return getattr(scope.get("route"), "path", "")


def log_decision(verdict: Verdict, tenant: str, prompts: bool) -> None:
    """One line on a decision; with `prompts`, both of them."""
    told = {
        "verdict_id": verdict.id, "tenant": tenant, "locale": verdict.locale, "policy": verdict.policy.locale,
        "action": verdict.action.value, "status": verdict.status.value, "ms": verdict.timings_ms.get("total"),
        "severity": verdict.severity and verdict.severity.value,
        "rules": [violation.rule_id for violation in verdict.violations],
    }  # fmt: skip
    if prompts:
        told |= {"prompt": verdict.prompt, "safe_prompt": verdict.safe_prompt}
    log.info("decided", extra=told)
