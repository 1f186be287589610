"""The log and the traces of a worker process; this test plays the OTLP collector."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALL = {"X-Request-ID": "order-66", "traceparent": f"00-{TRACE}-{SPAN}-01"}


class Collector(BaseHTTPRequestHandler):
    exports: list[ExportTraceServiceRequest] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.exports.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.slow
def test_the_caller_s_request_id_is_in_the_log_and_its_trace_continues(
    free_port: Callable[[], int], tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        Thread(target=collector.serve_forever).start()
        command = [sys.executable, "-m", "generator.server", "--port", str(port), "--model", str(tmp_path / "none")]
        settings = {"PROPRIETY_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"}
        with log.open("wb") as output:
            worker = subprocess.Popen(command, env={**os.environ, **settings}, stderr=output)
        answer = post_while_loading(port, worker)
        worker.wait(120)
        collector.shutdown()
    assert answer.headers["x-request-id"] == CALL["X-Request-ID"]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (answered,) = [line for line in lines if line["message"] == "answered"]
    assert (answered["request_id"], answered["route"], answered["status"]) == ("order-66", "/v1/draw", 503)
    assert "zebra" not in log.read_text()
    resources = [resource for export in Collector.exports for resource in export.resource_spans]
    assert "propriety-generator" in str(resources)
    spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    (server,) = [span for span in spans if span.name == "POST /v1/draw"]
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, SPAN)


def post_while_loading(port: int, worker: "subprocess.Popen[Any]") -> httpx.Response:
    """The response before the worker finds that its model is missing."""
    while True:
        try:
            return httpx.post(
                f"http://127.0.0.1:{port}/v1/draw", json={"prompt": "a zebra"}, headers=CALL, trust_env=False
            )
        except httpx.TransportError:
            assert worker.poll() is None
