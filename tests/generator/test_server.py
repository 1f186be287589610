"""A worker process: its settings, its certificate, its log and its traces. These tests play the OTLP collector."""

import base64
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import c2pa
import httpx
import pytest
import typer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from generator.server import main
from propriety.telemetry import LogFormat

ROOT = Path(__file__).parents[2]
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


SETTINGS = {
    "port": ("PROPRIETY_GENERATOR_PORT", "9", 9),
    "model": ("PROPRIETY_GENERATOR_MODEL", "a/model", "a/model"),
    "signing_cert": ("PROPRIETY_SIGNING_CERT", "chain.pem", Path("chain.pem")),
    "signing_key": ("PROPRIETY_SIGNING_KEY", "signer.key", Path("signer.key")),
    "log_format": ("PROPRIETY_LOG_FORMAT", "text", LogFormat.TEXT),
    "log_prompts": ("PROPRIETY_LOG_PROMPTS", "true", True),
    "otlp_endpoint": ("PROPRIETY_OTLP_ENDPOINT", "http://collector:4318", "http://collector:4318"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_worker_reads_its_settings_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable, given, expected = SETTINGS[name]
    app = typer.Typer()
    app.command()(main)
    command = typer.main.get_command(app)
    default = command.make_context("server", []).params[name]
    monkeypatch.setenv(variable, given)
    assert command.make_context("server", []).params[name] == expected != default
    monkeypatch.setenv(variable, "")
    assert command.make_context("server", []).params[name] == default


@pytest.mark.slow
@pytest.mark.parametrize("usage", ["emailProtection", "serverAuth", None])
def test_the_worker_signs_with_the_certificate_of_its_settings_or_does_not_start(
    usage: str | None, free_port: Callable[[], int], tmp_path: Path
) -> None:
    settings = {"PROPRIETY_SIGNING_KEY": "signer.key"} | ({"PROPRIETY_SIGNING_CERT": "chain.pem"} if usage else {})
    make_certificate(tmp_path, usage or "emailProtection")
    port = free_port()
    command = [sys.executable, "-m", "generator.server", "--port", str(port), "--threads", "1"]
    with subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, **settings, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
    ) as worker:
        try:
            if usage == "emailProtection":
                drawn = draw_when_loaded(port, worker)
                signature = c2pa.Reader("image/png", io.BytesIO(drawn)).get_active_manifest()["signature_info"]
                assert signature["common_name"] == "Pictures"
            else:
                assert worker.wait(120) == 1
                assert worker.stderr is not None
                log = worker.stderr.read().decode()
                named = "chain.pem and its key cannot sign content credentials: its extended key usage is serverAuth"
                assert (named if usage else "both the signing certificate and the signing key") in log
        finally:
            worker.terminate()


def make_certificate(folder: Path, usage: str) -> None:
    """As docs/generator.md shows."""
    key, profile = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes", folder / "profile"
    profile.write_text(f"keyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\nauthorityKeyIdentifier=keyid\n")
    for command in (
        f"req -x509 {key} -subj /O=Example/CN=Authority -keyout authority.key -out authority.pem",
        f"req {key} -subj /O=Example/CN=Pictures -keyout signer.key -out request.pem",
        "x509 -req -in request.pem -CA authority.pem -CAkey authority.key -extfile profile -out chain.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


def draw_when_loaded(port: int, worker: "subprocess.Popen[Any]") -> bytes:
    while True:
        assert worker.poll() is None
        with suppress(httpx.TransportError):
            answer = httpx.post(
                f"http://127.0.0.1:{port}/v1/draw",
                json={"prompt": "a man in a park", "steps": 1},
                trust_env=False,
                timeout=60,
            )
            if answer.status_code == 200:
                return base64.b64decode(answer.json()["images"][0])
        time.sleep(0.2)


@pytest.mark.slow
def test_the_caller_s_request_id_is_in_the_log_and_its_trace_continues(
    free_port: Callable[[], int], tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.02}).start()
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
