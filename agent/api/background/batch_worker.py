"""Batches are worked through by the API's own process: a few lines of one tenant's, then of another's.

A line is asked of the same routes as the live request that it could have been, so that it is answered alike.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Literal, NamedTuple

import httpx
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from agent.api import errors
from agent.api.access import BATCH, Caller
from agent.api.background.running import running
from agent.api.limits import Limits
from agent.api.routes import chat, moderations
from agent.metrics import BATCH_LINES, BATCH_LINES_WAITING
from agent.store.batch_lines import LineRequest, answered, new_id, unanswered
from agent.store.batch_work import HELD, Answer, BatchWork
from agent.store.batches import BatchRow
from agent.store.database import utc
from agent.store.files import PAGE, Line
from agent.store.tenants import Scope, Tenant
from propriety.telemetry.logs import request_id

log = logging.getLogger("propriety")

LOOK_S = 1.0  # between two looks whether there is a batch to work on
PAUSES_S = (1, 5)  # after which what failed on our side is asked again: a database may have been away


class Stop(NamedTuple):
    """How a batch ends whose other lines are not asked, and why."""

    status: Literal["expired", "cancelled"]
    reason: str


@asynccontextmanager
async def batches_worked(app: FastAPI) -> AsyncIterator[None]:
    """A lifespan in which the batches in the database are worked through."""
    async with running(_work(_routes(app))):
        yield


def _routes(app: FastAPI) -> FastAPI:
    """Those that a batch may ask, without what stands before live requests, such as keys, times and their log."""
    routes = FastAPI(openapi_url=None)
    routes.state = app.state
    errors.install(routes, larger={})
    for module in (moderations, chat):
        routes.include_router(module.router)
    return routes


async def _work(app: FastAPI) -> None:
    served = dict[str, float]()
    while True:
        try:
            worked = await _turn(app, served)
        except Exception:
            log.exception("a batch could not be worked on; it is tried again")
            worked = False
        if not worked:
            await asyncio.sleep(LOOK_S)


async def _turn(app: FastAPI, served: dict[str, float]) -> bool:
    """A few lines of the tenant whose turn it is; `served` says when each had its last one."""
    work: BatchWork = app.state.batch_work
    batches = await asyncio.to_thread(work.open)
    BATCH_LINES_WAITING.set(sum(batch.total - batch.done for batch in batches))
    for waiting in sorted(batches, key=lambda batch: served.get(batch.tenant, 0.0)):
        if batch := await asyncio.to_thread(work.take, waiting.id):
            served[batch.tenant] = time.monotonic()
            try:
                await _advance(app, batch)
            except BaseException:
                with suppress(SQLAlchemyError):
                    await asyncio.to_thread(work.release, batch.id)
                raise
            return True
    return False


async def _advance(app: FastAPI, batch: BatchRow) -> None:
    work: BatchWork = app.state.batch_work
    tenant = _served_to(batch, await asyncio.to_thread(app.state.tenants.named, batch.tenant))
    page = PAGE if isinstance(tenant, Stop) else app.state.moderator.settings.batch_concurrency
    lines = await asyncio.to_thread(app.state.files.lines, batch.input_file_id, batch.done, page)
    if isinstance(tenant, Stop):
        error = {"code": f"batch_{tenant.status}", "message": tenant.reason}
        answers = [Answer(unanswered(line, error), ok=False) for line in lines]
    else:
        answers = await _answers(app, batch, tenant, lines)
    if answers and not await asyncio.to_thread(work.write, batch, answers):
        return
    for answer in answers:
        BATCH_LINES.labels("completed" if answer.ok else "failed").inc()
    if len(lines) < page or batch.done + len(lines) == batch.total:
        await asyncio.to_thread(work.end, batch.id, tenant.status if isinstance(tenant, Stop) else "completed")


def _served_to(batch: BatchRow, tenant: Tenant | None) -> Tenant | Stop:
    """Whose terms hold for the next lines, or why there are none."""
    if batch.status == "cancelling":
        return Stop("cancelled", "The batch was cancelled before this request was asked.")
    if tenant is None or Scope.MODERATE not in tenant.terms.scopes:
        return Stop("cancelled", "The tenant's keys have ended, or lack the scope 'moderate'.")
    if batch.done < batch.total and utc(batch.expires_at) <= dt.datetime.now(dt.UTC):
        return Stop("expired", "This request could not be asked before the completion window ended.")
    return tenant


async def _answers(app: FastAPI, batch: BatchRow, tenant: Tenant, lines: Sequence[Line]) -> list[Answer]:
    state = app.state
    caller = Caller(tenant, state.moderator, Limits(), state.sessions, state.traffic.spare)

    async def as_batch(scope: AsgiScope, receive: Receive, send: Send) -> None:
        try:
            await app({**scope, BATCH: caller}, receive, send)
        except Exception:  # it was answered with a 500
            log.exception("a request of a batch failed")

    # Of a transport within the process no time limit is kept; the moderator has its own.
    client = httpx.AsyncClient(transport=httpx.ASGITransport(as_batch), base_url="http://batch", trust_env=False)
    async with client:
        asked = [asyncio.create_task(_answer(client, batch.endpoint, line)) for line in lines]
        try:
            while asked and (await asyncio.wait(asked, timeout=HELD.total_seconds() / 3))[1]:
                await asyncio.to_thread(state.batch_work.hold, batch.id)
        finally:
            for task in asked:
                task.cancel()
        return [task.result() for task in asked]


async def _answer(client: httpx.AsyncClient, endpoint: str, line: Line) -> Answer:
    name = new_id()
    request_id.set(name)
    flaw = line.flaw
    if flaw is None:
        request = LineRequest.model_validate_json(line.text)
        if request.url == endpoint:
            body, headers = json.dumps(request.body), {"Content-Type": "application/json"}
            for pause_s in (*PAUSES_S, None):
                response = await client.post(request.url, content=body, headers=headers)
                if response.status_code < 500 or pause_s is None:
                    break
                await asyncio.sleep(pause_s)
            return Answer(answered(line, name, response.status_code, response.json()), response.status_code == 200)
        flaw = f"url: the batch's endpoint is {endpoint}"
    error = {"message": flaw, "type": "invalid_request_error", "param": None, "code": "invalid_line"}
    return Answer(answered(line, name, 400, {"error": error}), ok=False)
