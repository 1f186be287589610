"""The drawing worker's HTTP routes.

POST /v1/draw takes one request, or {"requests": [request, ...]} with at most 16 images in all. Only `prompt` is needed:

    {"prompt": "a woman holding a wine glass on a beach", "safe_prompt": "a woman holding a glass of juice on a beach",
     "wxi": 0.75, "tau_gc": 0.2, "seed": 7, "steps": 25, "guidance_scale": null, "width": null, "height": null,
     "sampler": null, "n": 1, "stronger": [{"wxi": 0.95, "tau_gc": 0.1}], "verdict_id": "...", "policy_version": "..."}

It returns three lists with one entry per image:

    {"images": ["iVBORw0..."],
     "parameters": [{"prompt": "...", "wxi": 0.75, "tau_gc": 0.2, "fused_steps": 5, "denoiser_rows": 55, "seed": 7,
                     "steps": 25, "guidance_scale": 4.0, "width": 64, "height": 64, "sampler": "ddim",
                     "model": "demo"}],
     "notes": [[]]}

An image that the last look blocks is null, and its notes say why.

POST /v1/draw/events takes the same body and returns server-sent events: one `step` per image and step, such as
{"image": 0, "step": 3, "steps": 25}, then `drawn` with the response above, or `error`.

GET /healthz returns {"model", "loaded", "size": [width, height], "error"}: 200 once the model is loaded, 503 before.

Errors are {"error": {"message", "param", "type"}}: 4xx for a request that cannot be read or drawn, 429 with Retry-After
when the queue is full, 503 while the model loads or the worker stops, 500 if drawing fails (the log says why).

Pictures of the same size, sampler, guidance and number of steps share a batch, also across callers. A caller that
disconnects leaves the queue. A response and its log lines have the caller's `X-Request-ID`, or a new one. A caller's
trace continues here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Discriminator, Tag
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from generator.queue import ClosingError, Queue, QueueFullError
from generator.worker import NotReadyError, Worker
from propriety.drawing import CannotDrawError, DrawBatch, DrawRequest, DrawResponse, Fault, Health, WorkerFault
from propriety.http import while_connected
from propriety.telemetry.access_log import AccessLog
from propriety.telemetry.logs import request_id

QUEUE_LIMIT, WAIT_MS = 64, 50


def _kind(body: Any) -> str:
    is_batch = "requests" in body if isinstance(body, dict) else isinstance(body, DrawBatch)
    return "batch" if is_batch else "single"


Body = Annotated[
    Annotated[DrawRequest, Tag("single")] | Annotated[DrawBatch, Tag("batch")],
    Discriminator(_kind),
]

ERRORS: dict[type[Exception], tuple[int, str]] = {
    CannotDrawError: (422, "cannot_draw"),
    QueueFullError: (429, "busy"),
    ClientDisconnect: (499, "gone"),
    NotReadyError: (503, "not_ready"),
    ClosingError: (503, "closing"),
}


class Job:
    """The pictures of one HTTP request, and the progress of each."""

    def __init__(self, worker: Worker, queue: Queue, requests: list[DrawRequest]) -> None:
        """Queues the pictures; raises one of ERRORS if they cannot be queued."""
        self._worker, self._steps = worker, asyncio.Queue[dict[str, int] | None]()
        planned = worker.plan(requests)
        self._tickets = queue.put(
            planned,
            lambda image, step: self._steps.put_nowait(
                {"image": image, "step": step, "steps": planned[image].request.steps}
            ),
        )
        self._outcomes = asyncio.gather(*(ticket.outcome for ticket in self._tickets))
        self._outcomes.add_done_callback(self._end_steps)

    async def steps(self) -> AsyncIterator[dict[str, int]]:
        """Each step of each picture, as it is done; ends when all are drawn or one has failed."""
        while (step := await self._steps.get()) is not None:
            yield step

    async def response(self) -> DrawResponse:
        """The pictures; raises one of ERRORS, or the error that drawing failed with."""
        outcomes = await self._outcomes
        requests = [ticket.planned.request for ticket in self._tickets]
        return await asyncio.to_thread(self._worker.respond, outcomes, requests)

    def cancel(self) -> None:
        """Gives up the pictures that are not drawn yet."""
        for ticket in self._tickets:
            ticket.outcome.cancel()

    def _end_steps(self, outcomes: asyncio.Future[Any]) -> None:
        self._steps.put_nowait(None)
        if not outcomes.cancelled():
            outcomes.exception()  # asyncio logs an error that nobody retrieves, as after a caller disconnected


def create_app(worker: Worker, queue_limit: int = QUEUE_LIMIT, wait_ms: int = WAIT_MS) -> FastAPI:
    """The worker's routes; `app.state.queue` exists once the application has started.

    Args:
        queue_limit, wait_ms: as `generator.queue.Queue`, the wait in milliseconds.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.queue = Queue(worker.draw, worker.thread, queue_limit, wait_ms / 1000)
        drawing = asyncio.create_task(app.state.queue.run())
        yield
        drawing.cancel()

    app = FastAPI(title="Propriety: drawing worker", lifespan=lifespan)
    app.add_middleware(AccessLog)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    for kind in (*ERRORS, Exception):
        app.add_exception_handler(kind, _failed)

    async def queue_job(request: Request, body: Body) -> AsyncIterator[Job]:
        job = Job(worker, request.app.state.queue, body.requests if isinstance(body, DrawBatch) else [body])
        try:
            yield job
        finally:
            job.cancel()

    Queued = Annotated[Job, Depends(queue_job)]

    @app.get("/healthz", response_model=Health)
    async def healthz() -> JSONResponse:
        health = worker.health()
        return JSONResponse(health.model_dump(), 200 if health.loaded else 503)

    @app.post("/v1/draw")
    async def draw(request: Request, job: Queued) -> DrawResponse:
        return await while_connected(request, job.response())

    @app.post("/v1/draw/events", response_class=EventSourceResponse)
    async def draw_events(job: Queued) -> AsyncIterator[ServerSentEvent]:
        async for step in job.steps():
            yield ServerSentEvent(event="step", data=step)
        try:
            yield ServerSentEvent(event="drawn", data=await job.response())
        except Exception as error:
            yield ServerSentEvent(event="error", data=_describe(error))

    return app


async def _invalid(_: Request, error: Any) -> JSONResponse:
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"] if part not in ("body", "single", "batch"))
    return JSONResponse(_fault(f"{param or 'body'}: {first['msg']}", "invalid_request", param or None), 422)


async def _refused(request: Request, error: Any) -> JSONResponse:
    reason = f"{error.detail}: {error.__cause__ or f'{request.method} {request.url.path}'}"
    return JSONResponse(_fault(reason, "invalid_request"), error.status_code)


async def _failed(_: Request, error: Exception) -> JSONResponse:
    status = ERRORS[type(error)][0] if type(error) in ERRORS else 500
    # Starlette raises an unexpected error again after this response, and uvicorn then closes the connection.
    headers = {"X-Request-ID": request_id.get(), "Connection": "close"} if status == 500 else {}
    if isinstance(error, QueueFullError):
        headers["Retry-After"] = str(error.retry_after_s)
    return JSONResponse(_describe(error), status, headers)


def _describe(error: Exception) -> dict[str, Any]:
    if type(error) not in ERRORS:
        return _fault("Drawing failed; the worker's log says why.", "internal_error")
    return _fault(str(error), ERRORS[type(error)][1], getattr(error, "param", None))


def _fault(message: str, kind: str, param: str | None = None) -> dict[str, Any]:
    valid = message.encode("utf-8", "replace").decode()  # a message may quote half a surrogate pair
    return WorkerFault(error=Fault(message=valid, param=param, type=kind)).model_dump()
