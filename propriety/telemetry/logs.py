"""The log of API and generator: one JSON object a line, with the request's id.

Prompts stay out of it unless a setting allows them. python-json-logger writes the lines; it hides nothing of an
exception, so exceptions are cut here.
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

from propriety.telemetry import LogFormat

request_id: ContextVar[str] = ContextVar("request_id", default="")

MAX_CAUSES = 10  # exceptions of one chain that are logged

FIELDS = "{asctime}{levelname}{name}{message}{request_id}"
TEXT = "{asctime} {levelname} {request_id} {message}"
NAMES = {"asctime": "time", "levelname": "level", "name": "logger"}


class _Cut:
    """Formats exceptions without their messages, which may quote a prompt: type, cause and place remain."""

    def formatException(self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | Any) -> str:
        error, parts = ei[1], list[str]()
        while error is not None and len(parts) < MAX_CAUSES:
            frames = "".join(traceback.format_tb(error.__traceback__))
            parts.append(f"{type(error).__module__}.{type(error).__qualname__}\n{frames}")
            error = error.__cause__ or error.__context__
        return "\ncaused by ".join(parts).rstrip()


class _CutJson(_Cut, JsonFormatter):
    pass


class _CutText(_Cut, logging.Formatter):
    pass


def configure_logs(log_format: LogFormat, prompts: bool) -> None:
    """Write this process's log, uvicorn's included, to standard error. Without `prompts`, nothing may quote one."""
    json = (JsonFormatter if prompts else _CutJson)(FIELDS, style="{", rename_fields=NAMES, json_ensure_ascii=False)
    text = (logging.Formatter if prompts else _CutText)(TEXT, style="{")
    formatter: logging.Formatter = json if log_format is LogFormat.JSON else text
    formatter.converter = time.gmtime
    formatter.default_time_format, formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_add_request_id)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("propriety").setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.access").disabled = True  # `propriety.telemetry.access_log` has more in it


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    vars(record).pop("color_message", None)  # uvicorn's copy of the message for terminals
    return True
