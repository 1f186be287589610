"""The API's process works through batches: a few lines of one tenant's batch, then of another's.

A line goes to the same routes as a live request, so that it gets the same response.
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
from agent.api.access import BATCH_CALLER, Caller
from agent.api.background.running import running
from agent.api.routes import chat, moderations
from agent.api.service import service_of
from agent.judge.patience import Patience, working
from agent.metrics import BATCH_LINES, BATCH_LINES_WAITING
from agent.store.batch_lines import LineRequest, answered, new_id, unanswered
from agent.store.batch_work import HELD, Answer
from agent.store.batches import BatchRow
from agent.store.database import utc
from agent.store.files import PAGE, Line
from agent.store.sealing import SealError
from agent.store.tenants import Scope, Tenant
from propriety.telemetry.logs import request_id

log = logging.getLogger("propriety")

POLL_S = 1.0  # between two looks for a batch
UNREADABLE = {
    "code": "input_unreadable",
    "message": "The input is encrypted with a key that the service no longer has, so this request was not judged.",
}
RETRY_AFTER_S = (1, 5)  # before a line that failed on our side is retried: the database may have been unavailable


class Stop(NamedTuple):
    """How a batch ends whose remaining lines are not judged, and why."""

    status: Literal["expired", "cancelled"]
    reason: str


@asynccontextmanager
async def batches_worked(app: FastAPI) -> AsyncIterator[None]:
    """A context in which the batches in the database are worked through."""
    async with running(_work(_routes(app))):
        yield


def _routes(app: FastAPI) -> FastAPI:
    """The routes that a batch may use, without the middleware of live requests: keys, timing, log."""
    routes = FastAPI(openapi_url=None)
    routes.state = app.state
    errors.install(routes, larger={})
    for module in (moderations, chat):
        routes.include_router(module.router)
    return routes


async def _work(app: FastAPI) -> None:
    last_turns = dict[str, float]()
    while True:
        try:
            worked = await _turn(app, last_turns)
        except Exception:
            log.exception("a batch could not be worked on; retrying")
            worked = False
        if not worked:
            await asyncio.sleep(POLL_S)


async def _turn(app: FastAPI, last_turns: dict[str, float]) -> bool:
    """A few lines of the tenant whose turn it is; `last_turns` has the time of each tenant's last one."""
    work = service_of(app).store.batch_work
    batches = await asyncio.to_thread(work.open)
    BATCH_LINES_WAITING.set(sum(batch.total - batch.done for batch in batches))
    for waiting in sorted(batches, key=lambda batch: last_turns.get(batch.tenant, 0.0)):
        if batch := await asyncio.to_thread(work.take, waiting.id):
            last_turns[batch.tenant] = time.monotonic()
            try:
                await _advance(app, batch)
            except BaseException:
                with suppress(SQLAlchemyError):
                    await asyncio.to_thread(work.release, batch.id)
                raise
            return True
    return False


async def _advance(app: FastAPI, batch: BatchRow) -> None:
    service = service_of(app)
    store, work = service.store, service.store.batch_work
    tenant = _tenant_of(batch, await asyncio.to_thread(store.tenants.named, batch.tenant))
    page = PAGE if isinstance(tenant, Stop) else service.settings.batch_concurrency
    try:
        lines = await asyncio.to_thread(store.files.lines, batch.input_file_id, batch.done, page)
    except SealError as error:
        log.error("the lines of batch %s cannot be read: %s", batch.id, error)
        lines = [Line(number, "") for number in range(batch.done + 1, min(batch.done + page, batch.total) + 1)]
        answers = [Answer(unanswered(line, UNREADABLE), ok=False) for line in lines]
    else:
        if isinstance(tenant, Stop):
            reason = {"code": f"batch_{tenant.status}", "message": tenant.reason}
            answers = [Answer(unanswered(line, reason), ok=False) for line in lines]
        else:
            answers = await _answers(app, batch, tenant, lines)
    if answers and not await asyncio.to_thread(work.write, batch, answers):
        return
    for answer in answers:
        BATCH_LINES.labels("completed" if answer.ok else "failed").inc()
    if len(lines) < page or batch.done + len(lines) == batch.total:
        await asyncio.to_thread(work.end, batch.id, tenant.status if isinstance(tenant, Stop) else "completed")


def _tenant_of(batch: BatchRow, tenant: Tenant | None) -> Tenant | Stop:
    """The tenant whose terms hold for the next lines, or why no more are judged."""
    if batch.status == "cancelling":
        return Stop("cancelled", "The batch was cancelled before this request was judged.")
    if tenant is None or Scope.MODERATE not in tenant.terms.scopes:
        return Stop("cancelled", "The tenant's keys have ended, or lack the scope 'moderate'.")
    if batch.done < batch.total and utc(batch.expires_at) <= dt.datetime.now(dt.UTC):
        return Stop("expired", "The completion window ended before this request was judged.")
    return tenant


async def _answers(app: FastAPI, batch: BatchRow, tenant: Tenant, lines: Sequence[Line]) -> list[Answer]:
    service = service_of(app)
    caller = Caller(tenant, service, service.traffic.spare, _uncharged)

    async def as_batch(scope: AsgiScope, receive: Receive, send: Send) -> None:
        try:
            await app({**scope, BATCH_CALLER: caller}, receive, send)
        except Exception:  # the response is a 500
            log.exception("a request of a batch failed")

    # A transport within the process has no time limit; the moderator has its own.
    client = httpx.AsyncClient(transport=httpx.ASGITransport(as_batch), base_url="http://batch", trust_env=False)
    async with client:
        with working(Patience.OFFLINE):
            tasks = [asyncio.create_task(_answer(client, batch.endpoint, line)) for line in lines]
        try:
            while tasks and (await asyncio.wait(tasks, timeout=HELD.total_seconds() / 3))[1]:
                await asyncio.to_thread(service.store.batch_work.hold, batch.id)
        finally:
            for task in tasks:
                task.cancel()
        return [task.result() for task in tasks]


async def _uncharged(count: int) -> None:
    """Batches do not count towards a tenant's limit of a minute."""


async def _answer(client: httpx.AsyncClient, endpoint: str, line: Line) -> Answer:
    name = new_id()
    request_id.set(name)
    flaw = line.flaw
    if flaw is None:
        request = LineRequest.model_validate_json(line.text)
        if request.url == endpoint:
            body, headers = json.dumps(request.body), {"Content-Type": "application/json"}
            for pause_s in (*RETRY_AFTER_S, None):
                response = await client.post(request.url, content=body, headers=headers)
                if response.status_code < 500 or pause_s is None:
                    break
                await asyncio.sleep(pause_s)
            return Answer(answered(line, name, response.status_code, response.json()), response.status_code == 200)
        flaw = f"url: the batch's endpoint is {endpoint}"
    error = {"message": flaw, "type": "invalid_request_error", "param": None, "code": "invalid_line"}
    return Answer(answered(line, name, 400, {"error": error}), ok=False)
