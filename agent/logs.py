"""The API's log: one JSON object a line, with the request's id, and never a prompt in clear unless a setting says so.

python-json-logger writes the lines; what it is not told it does not hide, so exceptions are cut here.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from agent.schema import Verdict
from agent.settings import LogFormat, Settings

request_id: ContextVar[str] = ContextVar("request_id", default="")

log = logging.getLogger("propriety")

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


def configure_logs(settings: Settings) -> None:
    """Write the process's log to standard error, uvicorn's too, as the settings say."""
    cut = not settings.log_prompts
    json = (_CutJson if cut else JsonFormatter)(FIELDS, style="{", rename_fields=NAMES, json_ensure_ascii=False)
    text = (_CutText if cut else logging.Formatter)(TEXT, style="{")
    formatter: logging.Formatter = json if settings.log_format is LogFormat.JSON else text
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
    logging.getLogger("uvicorn.access").disabled = True  # `Observed` says more


def _identified(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    vars(record).pop("color_message", None)  # uvicorn's, of the message for terminals
    return True


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
