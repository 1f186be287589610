"""The drawing worker, over HTTP: `python -m generator.server --model demo --port 8002`.

POST /v1/draw takes one request, or {"requests": [request, ...]} with at most 16 images in all. Only `prompt` is needed:

    {"prompt": "a woman holding a wine glass on a beach", "safe_prompt": "a woman holding a glass of juice on a beach",
     "wxi": 0.75, "tau_gc": 0.2, "seed": 7, "steps": 25, "guidance_scale": null, "width": null, "height": null,
     "sampler": null, "n": 1, "stronger": [{"wxi": 0.95, "tau_gc": 0.1}], "verdict_id": "...", "policy_version": "..."}

and answers, one entry per image in each list:

    {"images": ["iVBORw0..."],
     "parameters": [{"prompt": "...", "wxi": 0.75, "tau_gc": 0.2, "fused_steps": 5, "denoiser_rows": 55, "seed": 7,
                     "steps": 25, "guidance_scale": 4.0, "width": 64, "height": 64, "sampler": "ddim",
                     "model": "demo"}],
     "notes": [[]]}

An image that the last look blocks is null, and its notes say why. POST /v1/draw/events takes the same and answers with
server-sent events: `step`, {"image": 0, "step": 3, "steps": 25}, again and again, then `drawn` with the answer or
`error`. Callers' pictures of one size, sampler, guidance and number of steps are drawn together. A caller that
disconnects gives its place up.

Errors: {"error": {"message", "param", "type"}}; 4xx for a request that cannot be read or drawn, 429 with Retry-After
where too many wait, 503 while the model loads and while the worker stops, 500 where drawing fails (the log says why).
GET /healthz: {"model", "loaded", "size": [width, height], "error"}, 200 once the model is loaded and 503 before.

An answer has the caller's `X-Request-ID`, or one of its own, as its lines in the log have; a caller's trace goes on.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Discriminator, Tag
from starlette.exceptions import HTTPException

from agent.settings import LogFormat
from generator.queue import ClosingError, Queue, QueueFullError
from generator.worker import NotReadyError, Worker
from propriety.drawing import MAX_IMAGES, CannotDrawError, DrawBatch, DrawRequest, DrawResponse, Health
from propriety.telemetry.logs import Logged, configure_logs, request_id
from propriety.telemetry.tracing import trace_to

log = logging.getLogger("generator")

QUEUE_LIMIT, WAIT_MS = 64, 50


def _kind(body: Any) -> str:
    many = "requests" in body if isinstance(body, dict) else isinstance(body, DrawBatch)
    return "many" if many else "one"


Body = Annotated[Annotated[DrawRequest, Tag("one")] | Annotated[DrawBatch, Tag("many")], Discriminator(_kind)]


ERRORS: dict[type[Exception], tuple[int, str]] = {
    CannotDrawError: (422, "cannot_draw"),
    QueueFullError: (429, "busy"),
    NotReadyError: (503, "not_ready"),
    ClosingError: (503, "closing"),
}


class Call:
    """The pictures of one HTTP request, and how far each has come."""

    def __init__(self, worker: Worker, queue: Queue, requests: list[DrawRequest]) -> None:
        """Queues the pictures; raises one of ERRORS where they cannot be queued."""
        self._worker, self._steps = worker, asyncio.Queue[dict[str, int] | None]()
        planned = worker.plan(requests)
        self._tickets = queue.put(
            planned,
            lambda image, step: self._steps.put_nowait(
                {"image": image, "step": step, "steps": planned[image].parameters.steps}
            ),
        )
        self._outcomes = asyncio.gather(*(ticket.outcome for ticket in self._tickets))
        self._outcomes.add_done_callback(self._end)

    async def steps(self) -> AsyncIterator[dict[str, int]]:
        """Each step of each picture, as it is done; ends when all are drawn, or one cannot be."""
        while (step := await self._steps.get()) is not None:
            yield step

    async def answer(self) -> DrawResponse:
        """The pictures; raises one of ERRORS, or what drawing failed with."""
        outcomes = await self._outcomes
        requests = [ticket.planned.request for ticket in self._tickets]
        return await asyncio.to_thread(self._worker.answer, outcomes, requests)

    def _end(self, outcomes: asyncio.Future[Any]) -> None:
        self._steps.put_nowait(None)
        if not outcomes.cancelled():
            outcomes.exception()  # who has left does not ask, and asyncio would log that nobody did

    def leave(self) -> None:
        """What is not drawn need not be."""
        for ticket in self._tickets:
            ticket.outcome.cancel()


def create_app(worker: Worker, queue_limit: int = QUEUE_LIMIT, wait_ms: int = WAIT_MS) -> FastAPI:
    """The worker's routes; `app.state.queue` is there once the application has started."""

    @asynccontextmanager
    async def drawing(app: FastAPI) -> AsyncIterator[None]:
        app.state.queue = Queue(worker.draw, worker.thread, queue_limit, wait_ms / 1000)
        running = asyncio.create_task(app.state.queue.run())
        yield
        running.cancel()

    app = FastAPI(title="Propriety: drawing worker", lifespan=drawing)
    app.add_middleware(Logged)

    async def called(request: Request, body: Body) -> AsyncIterator[Call]:
        call = Call(worker, request.app.state.queue, body.requests if isinstance(body, DrawBatch) else [body])
        try:
            yield call
        finally:
            call.leave()

    Called = Annotated[Call, Depends(called)]

    @app.exception_handler(RequestValidationError)
    async def unreadable(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"] if part not in ("body", "one", "many"))
        return JSONResponse(_error(f"{param or 'body'}: {first['msg']}", "invalid_request", param or None), 422)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        reason = f"{error.detail}: {error.__cause__ or f'{request.method} {request.url.path}'}"
        return JSONResponse(_error(reason, "invalid_request"), error.status_code)

    async def failed(_: Request, error: Exception) -> JSONResponse:
        status, _type = ERRORS.get(type(error), (500, ""))
        headers = {"X-Request-ID": request_id.get()} if status == 500 else {}
        if isinstance(error, QueueFullError):
            headers["Retry-After"] = str(error.retry_after_s)
        return JSONResponse(_told(error), status, headers)

    for kind in (*ERRORS, Exception):
        app.add_exception_handler(kind, failed)

    @app.get("/healthz", response_model=Health)
    async def healthz() -> JSONResponse:
        health = worker.health()
        return JSONResponse(health.model_dump(), 200 if health.loaded else 503)

    @app.post("/v1/draw", response_model=DrawResponse)
    async def draw(request: Request, call: Called) -> DrawResponse | JSONResponse:
        answer, gone = asyncio.ensure_future(call.answer()), asyncio.ensure_future(_disconnected(request))
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if answer.done():
            return answer.result()
        answer.cancel()
        return JSONResponse(_error("The caller has gone.", "gone"), 499)

    @app.post("/v1/draw/events", response_class=EventSourceResponse)
    async def draw_events(call: Called) -> AsyncIterator[ServerSentEvent]:
        async for step in call.steps():
            yield ServerSentEvent(event="step", data=step)
        try:
            yield ServerSentEvent(event="drawn", data=await call.answer())
        except Exception as error:
            yield ServerSentEvent(event="error", data=_told(error))

    return app


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _told(error: Exception) -> dict[str, Any]:
    if type(error) not in ERRORS:
        return _error("Drawing failed; the worker's log says why.", "internal_error")
    return _error(str(error), ERRORS[type(error)][1], getattr(error, "param", None))


def _error(message: str, kind: str, param: str | None = None) -> dict[str, Any]:
    safe = message.encode("utf-8", "replace").decode()
    return {"error": {"message": safe, "param": param, "type": kind}}


class Server(uvicorn.Server):
    """On SIGTERM or SIGINT, finishes what is being drawn, and refuses what waits."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app: Any = self.config.app
        app.state.queue.close()
        await super().shutdown(sockets)


def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8002,
    model: Annotated[str, typer.Option(help="'demo', a folder in diffusers' layout, or a hub id.")] = "demo",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads to draw with; all cores if unset.")] = None,
    fast: Annotated[
        bool, typer.Option(help="bfloat16, channels last, compiled: slower to load, faster to draw.")
    ] = False,
    queue: Annotated[int, typer.Option(min=MAX_IMAGES, help="Pictures that may wait; more get 429.")] = QUEUE_LIMIT,
    wait_ms: Annotated[int, typer.Option(min=0, help="How long a picture waits for company.")] = WAIT_MS,
    detector: Annotated[
        str | None, typer.Option(help="'module:function' that makes the last look; else the model's usual one.")
    ] = None,
    signing_cert: Annotated[Path | None, typer.Option(help="PEM chain that signs content credentials.")] = None,
    signing_key: Annotated[Path | None, typer.Option(help="PEM key of that chain's first certificate.")] = None,
    log_format: Annotated[
        LogFormat, typer.Option(envvar="PROPRIETY_LOG_FORMAT", help="Of the log, on standard error.")
    ] = LogFormat.JSON,
    log_prompts: Annotated[
        bool, typer.Option(envvar="PROPRIETY_LOG_PROMPTS", help="Log what exceptions quote of prompts.")
    ] = False,
    otlp_endpoint: Annotated[
        str | None, typer.Option(envvar="PROPRIETY_OTLP_ENDPOINT", help="OTLP collector for traces.")
    ] = None,
) -> None:
    """Serve pictures: POST /v1/draw, GET /healthz. Try: curl -d '{"prompt": "a man in a park"}' -H
    'content-type: application/json' localhost:8002/v1/draw"""
    if threads:
        import torch

        torch.set_num_threads(threads)
    worker = Worker(model, fast, detector, signing_cert, signing_key)
    app = create_app(worker, queue, wait_ms)
    server = Server(uvicorn.Config(app, host=host, port=port))
    configure_logs(log_format, log_prompts)
    if otlp_endpoint:
        trace_to(otlp_endpoint, app, "propriety-generator")

    def stop_on_failure(loading: Future[Any]) -> None:
        if error := loading.exception():
            log.error("%s", error)
            server.should_exit = True

    worker.loading.add_done_callback(stop_on_failure)
    server.run()
    worker.thread.shutdown(cancel_futures=True)
    if worker.health().error:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
