"""The service under load, over HTTP: `python -m benchmarks.load`.

It sends the prompts of `evaluation/prompts/`. A new service is started for each detector and number of callers, so that
the prompts of a cold row are all new to it; the warm row repeats them. The service's own figures come from its
`/metrics`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import nullcontext
from itertools import takewhile
from typing import Annotated, NamedTuple

import httpx
import typer
from prometheus_client.parser import text_string_to_metric_families

from agent.stack import StartError
from agent.terminal.console import WRONG, fail
from agent.terminal.loading import read_settings
from benchmarks.client import TIMEOUT_S, send_all
from benchmarks.service import service_with_key
from benchmarks.tables import megabytes, percentiles_ms, print_head, print_row
from benchmarks.workload import Request, endless_requests, requests
from propriety.verdict import Detector

ROUTE = "/v1/moderations"
PROBE_INTERVAL_S = 0.05
HEAD = ("cache", "answers", "of them cached", "p50 ms", "p95 ms", "p99 ms", "answers/s", "overhead ms",
        "commit ms", "CPU ms", "/healthz p99 ms", "memory MB")  # fmt: skip
LONG_HEAD = ("minute", "answers", "p50 ms", "p95 ms", "answers/s", "memory MB")


class DegradedError(RuntimeError):
    """The LLM was unavailable, so another detector was timed than the one to measure."""


class Metrics(NamedTuple):
    """What a service reports since its start: seconds, counts, and bytes of resident memory now."""

    requests_s: float
    decided_s: float
    decided: float
    committed_s: float
    cpu_s: float
    cached: float
    degraded: float
    memory: float


async def read_metrics(client: httpx.AsyncClient) -> Metrics:
    families = text_string_to_metric_families((await client.get("/metrics")).raise_for_status().text)
    samples = [sample for family in families for sample in family.samples]

    def total(name: str, **labels: str) -> float:
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    return Metrics(
        requests_s=total("propriety_request_seconds_sum", route=ROUTE),
        decided_s=total("propriety_step_seconds_sum", step="total"),
        decided=total("propriety_step_seconds_count", step="total"),
        committed_s=total("propriety_step_seconds_sum", step="commit"),
        cpu_s=total("process_cpu_seconds_total"),
        cached=total("propriety_cache_requests_total", result="hit"),
        degraded=total("propriety_degraded_total"),
        memory=total("process_resident_memory_bytes"),
    )


class Measured(NamedTuple):
    """The seconds of each response and of all together; the service's metrics of them; its memory at the end."""

    seconds: list[float]
    wall_s: float
    metrics: Metrics
    memory: float

    @property
    def rate(self) -> str:
        return f"{len(self.seconds) / self.wall_s:.1f}"

    def percentiles(self, *which: int) -> list[str]:
        return [f"{value:.1f}" for value in percentiles_ms(self.seconds, *which)]


async def measure(client: httpx.AsyncClient, sent: Iterable[Request], detector: Detector, at_once: int) -> Measured:
    """Send all requests by `at_once` callers.

    Raises:
        httpx.HTTPError: a request fails, or its status is not 2xx.
        DegradedError: the LLM was unavailable.
    """
    bodies = ({"input": one.text, "locale": one.locale, "model": f"propriety-{detector}"} for one in sent)
    before, start = await read_metrics(client), time.perf_counter()
    seconds = await send_all(client, ROUTE, bodies, at_once)
    wall_s, after = time.perf_counter() - start, await read_metrics(client)
    metrics = Metrics(*(late - early for late, early in zip(after, before, strict=True)))
    if metrics.degraded:
        raise DegradedError(f"{detector}: {metrics.degraded:.0f} prompts were judged without the LLM; is it running?")
    return Measured(seconds, wall_s, metrics, after.memory)


async def measure_cold_and_warm(
    client: httpx.AsyncClient, sent: list[Request], detector: Detector, at_once: int, rounds: int
) -> None:
    """Print a row for new prompts, and a row for the same prompts, repeated `rounds` times."""
    for cache, repeated in (("cold", sent), ("warm", sent * rounds)):
        probing = asyncio.create_task(_probe(client))
        try:
            measured = await measure(client, repeated, detector, at_once)
        finally:
            probing.cancel()
        metrics, probes = measured.metrics, percentiles_ms(await probing, 99)
        overhead_s = metrics.requests_s - metrics.decided_s - metrics.committed_s
        per_answer = (f"{s / metrics.decided * 1000:.2f}" for s in (overhead_s, metrics.committed_s, metrics.cpu_s))
        print_row(
            detector, at_once, cache, len(measured.seconds), f"{metrics.cached / metrics.decided:.0%}",
            *measured.percentiles(50, 95, 99), measured.rate, *per_answer, f"{probes[0]:.1f}",
            megabytes(measured.memory),
        )  # fmt: skip


async def _probe(client: httpx.AsyncClient) -> list[float]:
    """Request `/healthz` repeatedly until cancelled, and return the seconds of each response. `/healthz` does nothing,
    so it is slow only if the event loop is blocked."""
    seconds = list[float]()
    try:
        while True:
            start = time.perf_counter()
            await client.get("/healthz")
            seconds.append(time.perf_counter() - start)
            await asyncio.sleep(PROBE_INTERVAL_S)
    except asyncio.CancelledError:
        return seconds


async def measure_minutes(client: httpx.AsyncClient, detector: Detector, at_once: int, minutes: int) -> None:
    """Send new prompts without a pause, and print a row each minute."""
    remaining = endless_requests()
    for minute in range(1, minutes + 1):
        end = time.perf_counter() + 60
        sent = takewhile(lambda _, end=end: time.perf_counter() < end, remaining)  # type: ignore[misc]
        measured = await measure(client, sent, detector, at_once)
        print_row(
            detector, at_once, minute, len(measured.seconds), *measured.percentiles(50, 95), measured.rate,
            megabytes(measured.memory),
        )  # fmt: skip


def main(
    detector: Annotated[
        list[Detector] | None, typer.Option(help="Detector; default: nearest and cascade. Repeatable.")
    ] = None,
    at_once: Annotated[
        list[int] | None, typer.Option(min=1, help="Number of callers; default: 1, 16 and 64. Repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum prompts of a cold row.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="How often a warm row repeats each prompt.")] = 5,
    minutes: Annotated[
        int | None, typer.Option(min=1, help="Send new prompts for this long, a row per minute, to see memory grow.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="A running service, whose admin key is PROPRIETY_API_KEY. Restart it before each run."),
    ] = None,
) -> None:
    """Print latency, answers per second, overhead and memory of the service as a Markdown table.

    "Overhead" is the mean time of a request in the server, minus the decision (`timings_ms.total`; in a warm row the
    cache lookup), minus its "commit" to the decision log. It covers checking the key, parsing and validating the body,
    and writing the response. "CPU" is the process's CPU time per answer. "/healthz" is requested 20 times a second
    meanwhile.

    `cascade` needs an LLM: `propriety serve llm`. Without --url, the service is started and stopped for each row. With
    --url, the rows share out the prompts, so each row has fewer.

    Example: python -m benchmarks.load --detector nearest --at-once 16 --minutes 30
    """
    settings, workload = read_settings(), requests()
    detectors, callers = detector or [Detector.NEAREST, Detector.CASCADE], at_once or [1, 16, 64]
    rows = [(one, count) for one in detectors for count in callers]
    print_head("detector", "at once", *(LONG_HEAD if minutes else HEAD))

    async def print_rows(address: str, key: str | None, number: int) -> None:
        one, count = rows[number]
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=count + 1)
        async with httpx.AsyncClient(
            base_url=address, headers=headers, timeout=TIMEOUT_S, limits=limits, trust_env=False
        ) as client:
            if minutes:
                await measure_minutes(client, one, count, minutes)
            else:
                share = workload[number :: len(rows)] if url else workload
                await measure_cold_and_warm(client, share[:limit], one, count, rounds)

    try:
        for number in range(len(rows)):
            with nullcontext((url, settings.key_to_send)) if url else service_with_key(settings) as (address, key):
                asyncio.run(print_rows(address, key, number))
    except (StartError, DegradedError, httpx.HTTPError) as error:
        fail(f"{type(error).__name__}: {error}", WRONG)


if __name__ == "__main__":
    typer.run(main)
