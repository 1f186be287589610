"""One request is one trace across the steps, the LLM and the generator; the test stands in for the OTLP collector."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SMALL_POLICIES = Path(__file__).parents[2] / "small_policies"

PROGRAM = textwrap.dedent("""
    import asyncio, httpx
    from agent.api.app import create_app
    app = create_app()
    async def main():
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            body = {"prompt": "a zebra with a glass of wine", "locale": "ar-SA", "model": "propriety-llm"}
            await client.post("/v1/images/generations", json=body)
            await client.get("/healthz")
    asyncio.run(main())
""")


@pytest.mark.slow
def test_a_request_is_one_trace_without_its_prompt_and_llm_and_generator_receive_its_context(serve, tmp_path: Path):
    app, contexts, exports = FastAPI(), dict[str, str](), list[ExportTraceServiceRequest]()

    @app.post("/v1/traces")
    async def collect(request: Request) -> Response:
        exports.append(ExportTraceServiceRequest.FromString(await request.body()))
        return Response(media_type="application/x-protobuf")

    @app.post("/v1/chat/completions")
    async def llm(request: Request) -> JSONResponse:
        contexts["llm"] = request.headers["traceparent"]
        return JSONResponse({"error": {"message": "gone"}}, 500)

    @app.post("/v1/draw")
    async def draw(request: Request) -> JSONResponse:
        contexts["generator"] = request.headers["traceparent"]
        return JSONResponse({"error": {"message": "gone", "param": None, "type": "busy"}}, 429)

    for url in serve(app):
        settings = {
            "PROPRIETY_POLICIES_DIR": str(SMALL_POLICIES), "PROPRIETY_DATA_DIR": str(tmp_path),
            "PROPRIETY_LLM_URL": f"{url}/v1", "PROPRIETY_GENERATOR_URL": url, "PROPRIETY_OTLP_ENDPOINT": url,
            "PROPRIETY_KEYLESS": "true",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env={**os.environ, **settings}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    spans = [
        span
        for export in exports
        for resource in export.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    (server,) = [span for span in spans if span.name == "POST /v1/images/generations"]
    assert {"detect", "rewrite"} <= {span.name for span in spans if span.trace_id == server.trace_id}
    assert not [span for span in spans if "healthz" in span.name]
    assert {context.split("-")[1] for context in contexts.values()} == {server.trace_id.hex()}
    assert contexts.keys() == {"llm", "generator"}
    assert "zebra" not in str(spans)
