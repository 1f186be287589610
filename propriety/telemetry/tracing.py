"""Traces for OpenTelemetry: requests to API and generator, the steps of a decision, and outgoing calls.

The steps use OpenTelemetry's interface, which does nothing until `trace_to` (extra `tracing`) exports them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace

if TYPE_CHECKING:
    from fastapi import FastAPI

UNTRACED = "healthz,readyz,metrics"

_tracer = trace.get_tracer("propriety")


@contextmanager
def step(name: str, timings_ms: dict[str, float]) -> Iterator[None]:
    """One step of a decision: a span, and its milliseconds in `timings_ms`."""
    started = time.perf_counter()
    with _tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False):
        yield
    timings_ms[name] = round((time.perf_counter() - started) * 1000, 2)


def trace_to(endpoint: str, app: FastAPI, service: str) -> None:
    """Export this process's traces to an OTLP collector over HTTP, such as http://collector:4318.

    A caller's trace continues here, and outgoing calls carry its context. No span has a prompt in it.

    Raises:
        ImportError: the extra `tracing` is missing.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, excluded_urls=UNTRACED)
    HTTPXClientInstrumentor().instrument(tracer_provider=provider)
