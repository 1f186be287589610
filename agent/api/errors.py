"""Every error in OpenAI's shape, `{"error": {message, type, param, code}}`: what is wrong, where, and why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.api.middleware.headers import HEADERS
from agent.metrics import REFUSED
from agent.store.database import AWAY
from propriety.telemetry.logs import request_id
from propriety.verdict import Strict, Verdict

log = logging.getLogger("propriety")

MAX_BODY = 1 << 20
BODY_TIMEOUT_S, MIN_BYTES_PER_S = 30.0, 1 << 16  # a slower body is refused
CLOSE = {"Connection": "close"}


class Error(Strict):
    message: str = Field(description="What is wrong, and why.")
    type: Literal["invalid_request_error", "requests", "server_error"] = Field(
        description="Whose fault it is; `requests` if there are too many."
    )
    param: str | None = Field(description="The field that is wrong, such as `messages[0].content`.")
    code: str = Field(description="What is wrong, for programs.")
    verdict: Verdict | None = Field(default=None, description="Present if the prompt was judged.")


class ErrorResponse(Strict):
    """OpenAI's shape of every response that is not 2xx."""

    error: Error


class ApiError(HTTPException):
    """An error for the caller; `status` is the HTTP status."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        param: str | None = None,
        verdict: Verdict | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.code, self.param, self.verdict = code, param, verdict


class BodyLimit:
    """ASGI middleware: refuses a body of more than `MAX_BODY` bytes with 413, and a slow one with 408.

    It does not read the rest of such a body; the connection is closed. `larger` gives the limit of some paths.
    """

    def __init__(self, app: ASGIApp, larger: Mapping[str, int]) -> None:
        self.app, self.larger = app, larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received, complete, limit = 0, False, self.larger.get(scope["path"], MAX_BODY)
        if int(dict(scope["headers"]).get(b"content-length", 0)) > limit:
            await answered(_too_large(limit))(scope, receive, send)
            return
        started = asyncio.get_running_loop().time()

        async def counted() -> Message:
            nonlocal received, complete
            try:
                async with asyncio.timeout_at(
                    None if complete else started + BODY_TIMEOUT_S + received / MIN_BYTES_PER_S
                ):
                    message = await receive()
            except TimeoutError:
                reason = f"The body arrives too slowly: {received} bytes so far."
                raise ApiError(408, reason, "too_slow", headers=CLOSE) from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > limit:
                raise _too_large(limit)
            return message

        await self.app(scope, counted, send)


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"The body is larger than {limit} bytes.", "request_too_large", headers=CLOSE)


def install(app: FastAPI, larger: Mapping[str, int]) -> None:
    """Return every error of `app`, expected or not, in OpenAI's shape; `larger` as in `BodyLimit`."""
    app.add_middleware(BodyLimit, larger=larger)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    for away in AWAY:
        app.add_exception_handler(away, _without_database)
    app.add_exception_handler(Exception, _failed)


def _error(
    status: int,
    message: str,
    code: str,
    param: str | None = None,
    verdict: Verdict | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    error = Error(
        message=_printable(message),
        type="server_error" if status >= 500 else "requests" if status == 429 else "invalid_request_error",
        param=param and _printable(param),
        code=code,
        verdict=verdict,
    )
    left_out = set() if verdict else {"verdict"}
    return JSONResponse({"error": error.model_dump(mode="json", exclude=left_out)}, status, headers)


def _printable(text: str) -> str:
    """Replaces lone surrogates, which could not be encoded in the response."""
    return text.encode("utf-8", "backslashreplace").decode()


def answered(error: ApiError | SQLAlchemyError) -> JSONResponse:
    """The response to an error in a middleware, which exception handlers do not see."""
    if isinstance(error, SQLAlchemyError):
        log.error("the database failed", exc_info=error)
        message = "The database is unavailable. Nothing was allowed or drawn; try again."
        return _error(503, message, "database_unavailable", headers={"Retry-After": "1"})
    if error.verdict is None:
        REFUSED.labels(error.code).inc()
    return _error(error.status_code, error.detail, error.code, error.param, error.verdict, error.headers)


async def _without_database(request: Request, error: Exception) -> JSONResponse:
    return answered(cast(SQLAlchemyError, error))


async def _refused(request: Request, error: Exception) -> JSONResponse:
    http = cast(HTTPException, error)
    if isinstance(http, ApiError):
        return answered(http)
    # FastAPI hides why a body is invalid: not UTF-8, nested too deeply, or with a number of 5,000 digits.
    if isinstance(error.__cause__, ValueError | RecursionError):
        return _error(400, f"The body cannot be read as JSON: {error.__cause__}.", "invalid_json")
    code = {404: "not_found", 405: "method_not_allowed"}.get(http.status_code, "invalid_request")
    message = f"{http.detail} ({request.method} {request.url.path})"
    headers = {"Allow": _allowed(request)} if http.status_code == 405 else http.headers
    return _error(http.status_code, message, code, headers=headers)


def _allowed(request: Request) -> str:
    """The methods of all routes with this path; the framework names those of one route only."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    same = (route for route in routes if route.path == routes[0].path)
    return ", ".join(sorted({method for route in same for method in route.methods or ()}))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    invalid = cast(RequestValidationError, error)
    first = invalid.errors()[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "cannot be parsed")
        return _error(400, f"The body is not valid JSON: {reason} (character {first['loc'][-1]}).", "invalid_json")
    source, *location = first["loc"]
    if source == "body" and not location:
        return _no_object(request, invalid.body)
    param = (
        _dotted(location, invalid.body, first["type"] == "missing")
        if source == "body"
        else ".".join(map(str, location))
    )
    return _error(400, f"{param}: {first['msg']}.", first["type"], param)


def _no_object(request: Request, body: Any) -> JSONResponse:
    """FastAPI passes bytes if the request does not declare JSON."""
    if isinstance(body, bytes):
        kind = request.headers.get("content-type", "none")
        message = f"Send the body as JSON with the header content-type: application/json, not {kind}."
        return _error(415, message, "unsupported_media_type")
    return _error(400, "The body must be a JSON object; it is missing or something else.", "invalid_body")


async def _failed(request: Request, error: Exception) -> JSONResponse:
    message = "The server failed; see its log. Nothing was allowed or drawn."
    return _error(500, message, "internal_error", headers={**HEADERS, **CLOSE, "X-Request-ID": request_id.get()})


def _dotted(location: Sequence[str | int], node: Any, missing: bool) -> str:
    """`messages[0].content`: pydantic's location without the names of union members, which the caller did not send.

    `missing`: the last name of the location is a field that the caller did not send.
    """
    name = ""
    for depth, step in enumerate(location):
        if isinstance(node, list) and isinstance(step, int) and step < len(node):
            name, node = f"{name}[{step}]", node[step]
        elif isinstance(node, dict) and (step in node or (missing and depth == len(location) - 1)):
            name, node = f"{name}.{step}" if name else str(step), node.get(step)
    return name
