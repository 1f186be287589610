"""Serves the drawing worker: `python -m generator.server --model demo --port 8002`. `generator.app` has the routes."""

import logging
import socket
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn

from generator.app import QUEUE_LIMIT, WAIT_MS, create_app
from generator.worker import Worker
from propriety.drawing import MAX_IMAGES
from propriety.telemetry import LogFormat
from propriety.telemetry.logs import configure_logs
from propriety.telemetry.tracing import trace_to

log = logging.getLogger("generator")


class Server(uvicorn.Server):
    """On SIGTERM or SIGINT, finishes the pictures that are being drawn and refuses those that wait."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app: Any = self.config.app
        app.state.queue.close()
        await super().shutdown(sockets)


def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="PROPRIETY_GENERATOR_PORT", min=1, max=65535, help="Port to listen on.")
    ] = 8002,
    model: Annotated[
        str,
        typer.Option(
            envvar="PROPRIETY_GENERATOR_MODEL", help="'demo', a folder in diffusers' layout, or a Hugging Face id."
        ),
    ] = "demo",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads to draw with; default: all cores.")] = None,
    fast: Annotated[
        bool, typer.Option(help="bfloat16, channels last, compiled: slower to load, faster to draw.")
    ] = False,
    queue: Annotated[
        int, typer.Option(min=MAX_IMAGES, help="Pictures that may wait; a call beyond that gets 429.")
    ] = QUEUE_LIMIT,
    wait_ms: Annotated[
        int, typer.Option(min=0, help="Milliseconds that a picture waits for others to share its batch.")
    ] = WAIT_MS,
    detector: Annotated[
        str | None, typer.Option(help="'module:function' that returns a detector; default: the model's own.")
    ] = None,
    signing_cert: Annotated[
        Path | None,
        typer.Option(envvar="PROPRIETY_SIGNING_CERT", help="PEM certificate chain that signs the content credentials."),
    ] = None,
    signing_key: Annotated[
        Path | None,
        typer.Option(envvar="PROPRIETY_SIGNING_KEY", help="PEM key of the chain's first certificate."),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(envvar="PROPRIETY_LOG_FORMAT", help="Format of the log on standard error.")
    ] = LogFormat.JSON,
    log_prompts: Annotated[
        bool, typer.Option(envvar="PROPRIETY_LOG_PROMPTS", help="Keep exception messages, which may quote prompts.")
    ] = False,
    otlp_endpoint: Annotated[
        str | None, typer.Option(envvar="PROPRIETY_OTLP_ENDPOINT", help="OTLP collector that gets the traces.")
    ] = None,
) -> None:
    """Serve the drawing worker: POST /v1/draw, POST /v1/draw/events, GET /healthz. For example: curl -d '{"prompt": "a
    man in a park"}' -H 'content-type: application/json' localhost:8002/v1/draw"""
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
