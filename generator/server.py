"""The drawing worker, over HTTP: `python -m generator.server --model demo --port 8002`.

POST /v1/draw takes one request, or {"requests": [request, ...]} with at most 16 images in all. Only `prompt` is needed:

    {"prompt": "a woman holding a wine glass on a beach", "safe_prompt": "a woman holding a glass of juice on a beach",
     "wxi": 0.75, "tau_gc": 0.2, "seed": 7, "steps": 25, "guidance_scale": null, "width": null, "height": null,
     "sampler": null, "n": 1}

and answers, one entry per image in each list:

    {"images": ["iVBORw0..."],
     "parameters": [{"prompt": "...", "wxi": 0.75, "tau_gc": 0.2, "fused_steps": 5, "denoiser_rows": 55, "seed": 7,
                     "steps": 25, "guidance_scale": 4.0, "width": 64, "height": 64, "sampler": "ddim",
                     "model": "demo"}],
     "notes": [[]]}

Errors: {"error": {"message", "param", "type"}}; 4xx for a request that cannot be read or drawn, 503 while the model
loads, 500 where drawing fails (the log says why). GET /healthz: {"model", "loaded", "size": [width, height], "error"},
200 once the model is loaded and 503 before. Pictures are drawn one call at a time, in a thread of their own.
"""

import asyncio
import base64
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, Any

import typer
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Discriminator, Tag
from starlette.exceptions import HTTPException

from generator.schema import DrawBatch, DrawRequest, DrawResponse, Health

log = logging.getLogger("generator")


def _kind(body: Any) -> str:
    many = "requests" in body if isinstance(body, dict) else isinstance(body, DrawBatch)
    return "many" if many else "one"


Body = Annotated[Annotated[DrawRequest, Tag("one")] | Annotated[DrawBatch, Tag("many")], Discriminator(_kind)]


class Worker:
    """One model and the one thread that loads it and draws with it."""

    def __init__(self, model: str, fast: bool = False) -> None:
        self.model, self.fast = model, fast
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="draw")
        self.loading: Future[Any] = self.thread.submit(self._load)

    def _load(self) -> Any:
        from generator.pipeline import load

        return load(self.model, self.fast)

    def health(self) -> Health:
        if not self.loading.done():
            return Health(model=self.model, loaded=False, size=None)
        if error := self.loading.exception():
            return Health(model=self.model, loaded=False, size=None, error=str(error))
        from generator.pipeline import own_size

        return Health(model=self.model, loaded=True, size=own_size(self.loading.result()))

    def draw(self, requests: list[DrawRequest]) -> DrawResponse:
        """Draws; runs in the worker's thread."""
        from generator.pipeline import draw

        drawings = draw(self.loading.result(), requests)
        return DrawResponse(
            images=[base64.b64encode(drawing.png()).decode() for drawing in drawings],
            parameters=[drawing.parameters for drawing in drawings],
            notes=[drawing.notes for drawing in drawings],
        )


def create_app(worker: Worker) -> FastAPI:
    """The worker's routes."""
    app = FastAPI(title="Propriety: drawing worker")

    @app.exception_handler(RequestValidationError)
    async def unreadable(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"] if part not in ("body", "one", "many"))
        return _error(422, f"{param or 'body'}: {first['msg']}", "invalid_request", param or None)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        reason = f"{error.detail}: {error.__cause__ or f'{request.method} {request.url.path}'}"
        return _error(error.status_code, reason, "invalid_request")

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return _error(500, "Drawing failed; the worker's log says why.", "internal_error")

    @app.get("/healthz", response_model=Health)
    async def healthz() -> JSONResponse:
        health = worker.health()
        return JSONResponse(health.model_dump(), 200 if health.loaded else 503)

    @app.post("/v1/draw", response_model=DrawResponse)
    async def draw(body: Body) -> DrawResponse | JSONResponse:
        health = worker.health()
        if not health.loaded:
            return _error(503, health.error or f"The model {worker.model!r} is loading; try again soon.", "not_ready")
        from generator.pipeline import CannotDrawError

        requests = body.requests if isinstance(body, DrawBatch) else [body]
        try:
            return await asyncio.get_running_loop().run_in_executor(worker.thread, worker.draw, requests)
        except CannotDrawError as error:
            return _error(422, str(error), "cannot_draw", error.param)

    return app


def _error(status: int, message: str, kind: str, param: str | None = None) -> JSONResponse:
    safe = message.encode("utf-8", "replace").decode()
    return JSONResponse({"error": {"message": safe, "param": param, "type": kind}}, status)


def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8002,
    model: Annotated[str, typer.Option(help="'demo', a folder in diffusers' layout, or a hub id.")] = "demo",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads to draw with; all cores if unset.")] = None,
    fast: Annotated[
        bool, typer.Option(help="bfloat16, channels last, compiled: slower to load, faster to draw.")
    ] = False,
) -> None:
    """Serve pictures: POST /v1/draw, GET /healthz. Try: curl -d '{"prompt": "a man in a park"}' -H
    'content-type: application/json' localhost:8002/v1/draw"""
    logging.basicConfig(level=logging.INFO)
    if threads:
        import torch

        torch.set_num_threads(threads)
    worker = Worker(model, fast)
    server = uvicorn.Server(uvicorn.Config(create_app(worker), host=host, port=port))

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
