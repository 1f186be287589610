"""The service under load, over HTTP: `python -m benchmarks.load`.

The prompts are those of `evaluation/prompts/`. Each detector and number of callers gets a service of its own, freshly
started, so that no prompt of a cold row was ever asked before; the warm row asks the same again. What the service says
of itself is read off its `/metrics`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import httpx
import typer
from prometheus_client.parser import text_string_to_metric_families

from agent.settings import Settings
from agent.stack import Part, StartError
from agent.stack.serve import plan
from agent.stack.supervise import supervise
from agent.terminal.console import WRONG, errors, fail
from agent.terminal.loading import read_settings
from benchmarks.asking import (
    TIMEOUT_S,
    Asked,
    free_port,
    heading,
    megabytes,
    percentiles_ms,
    prompts,
    row,
    seconds,
    unending_prompts,
)
from propriety.verdict import Detector

ROUTE = "/v1/moderations"
PROBE_S = 0.05
HEAD = ("cache", "answers", "of them cached", "p50 ms", "p95 ms", "p99 ms", "answers/s", "overhead ms",
        "commit ms", "CPU ms", "/healthz p99 ms", "memory MB")  # fmt: skip
LONG_HEAD = ("minute", "answers", "p50 ms", "p95 ms", "answers/s", "memory MB")


class DegradedError(RuntimeError):
    """What was timed is not what was asked for."""


class Figures(NamedTuple):
    """What a service says of itself since it started: seconds, counts, and bytes of resident memory now."""

    requests_s: float
    decided_s: float
    decided: float
    committed_s: float
    cpu_s: float
    cached: float
    degraded: float
    memory: float


async def figures(client: httpx.AsyncClient) -> Figures:
    """As they are now."""
    families = text_string_to_metric_families((await client.get("/metrics")).raise_for_status().text)
    samples = [sample for family in families for sample in family.samples]

    def total(name: str, **labels: str) -> float:
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    return Figures(
        requests_s=total("propriety_request_seconds_sum", route=ROUTE),
        decided_s=total("propriety_step_seconds_sum", step="total"),
        decided=total("propriety_step_seconds_count", step="total"),
        committed_s=total("propriety_step_seconds_sum", step="commit"),
        cpu_s=total("process_cpu_seconds_total"),
        cached=total("propriety_cache_requests_total", result="hit"),
        degraded=total("propriety_degraded_total"),
        memory=total("process_resident_memory_bytes"),
    )


class Answered(NamedTuple):
    """Seconds of each answer and of all together; what the service says of them; its memory at the end, in bytes."""

    taken: list[float]
    wall: float
    counted: Figures
    memory: float

    @property
    def rate(self) -> str:
        return f"{len(self.taken) / self.wall:.1f}"

    def percentiles(self, *which: int) -> list[str]:
        return [f"{value:.1f}" for value in percentiles_ms(self.taken, *which)]


async def answered(client: httpx.AsyncClient, asked: Iterable[Asked], detector: Detector, at_once: int) -> Answered:
    """All of them, asked by so many callers.

    Raises:
        httpx.HTTPError: where one is not answered, or not with a 2xx.
        DegradedError: where the LLM was not to be had.
    """
    bodies = ({"input": one.text, "locale": one.locale, "model": f"propriety-{detector}"} for one in asked)
    before, start = await figures(client), time.perf_counter()
    taken = await seconds(client, ROUTE, bodies, at_once)
    wall, after = time.perf_counter() - start, await figures(client)
    counted = Figures(*(late - early for late, early in zip(after, before, strict=True)))
    if counted.degraded:
        raise DegradedError(f"{detector}: {counted.degraded:.0f} answers came without the LLM; is it running?")
    return Answered(taken, wall, counted, after.memory)


async def cold_and_warm(
    client: httpx.AsyncClient, asked: list[Asked], detector: Detector, at_once: int, rounds: int
) -> None:
    """Print one row for prompts that nobody asked before, and one for the same asked again `rounds` times."""
    for cache, sent in (("cold", asked), ("warm", asked * rounds)):
        probing = asyncio.create_task(_probe(client))
        try:
            done = await answered(client, sent, detector, at_once)
        finally:
            probing.cancel()
        counted, probes = done.counted, percentiles_ms(await probing, 99)
        overhead_s = counted.requests_s - counted.decided_s - counted.committed_s
        each = (f"{spent / counted.decided * 1000:.2f}" for spent in (overhead_s, counted.committed_s, counted.cpu_s))
        row(
            detector, at_once, cache, len(done.taken), f"{counted.cached / counted.decided:.0%}",
            *done.percentiles(50, 95, 99), done.rate, *each, f"{probes[0]:.1f}", megabytes(done.memory),
        )  # fmt: skip


async def _probe(client: httpx.AsyncClient) -> list[float]:
    """Seconds of `/healthz`, which does nothing, asked again and again until this is cancelled: it waits for an event
    loop that is blocked."""
    taken = list[float]()
    try:
        while True:
            start = time.perf_counter()
            await client.get("/healthz")
            taken.append(time.perf_counter() - start)
            await asyncio.sleep(PROBE_S)
    except asyncio.CancelledError:
        return taken


async def at_length(client: httpx.AsyncClient, detector: Detector, at_once: int, minutes: int) -> None:
    """Print one row a minute while prompts that nobody asked before are asked without a pause."""
    waiting = unending_prompts()
    for minute in range(1, minutes + 1):
        end = time.perf_counter() + 60
        due = takewhile(lambda _, end=end: time.perf_counter() < end, waiting)  # type: ignore[misc]
        done = await answered(client, due, detector, at_once)
        row(detector, at_once, minute, len(done.taken), *done.percentiles(50, 95), done.rate, megabytes(done.memory))


@contextmanager
def service(settings: Settings, url: str | None) -> Iterator[str]:
    """The URL of a service: that one, or one that is started here with a database of its own, and stopped after.

    Raises:
        StartError: where it does not start.
    """
    if url:
        yield url
        return
    port = free_port()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="load", dir=settings.data_dir) as folder:
        own = {"host": "127.0.0.1", "port": port, "database_url": f"sqlite:///{folder}/propriety.db"}
        started = settings.model_copy(update=own)
        with supervise(plan(started, {Part.API}), Path(folder), settings.startup_timeout_s, errors):
            yield f"http://127.0.0.1:{port}"


def main(
    detector: Annotated[list[Detector] | None, typer.Option(help="Repeatable; else nearest and cascade.")] = None,
    at_once: Annotated[list[int] | None, typer.Option(min=1, help="Callers. Repeatable; else 1, 16 and 64.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Prompts of a cold row, at most.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="How often a warm row asks each of them.")] = 5,
    minutes: Annotated[
        int | None, typer.Option(min=1, help="Ask new prompts for so long instead, a row a minute: does memory grow?")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="A service that runs, whose key is PROPRIETY_API_KEY; start it anew for each call."),
    ] = None,
) -> None:
    """Print latency, answers a second, overhead and memory of the service as a Markdown table.

    "Overhead" is the mean time of a request in the server, less what the decision took (`timings_ms.total`, of a warm
    row the look into the cache), less its "commit" to the decision log: the key, reading and checking the body, and
    writing the answer. "CPU" is the process's, for each answer. "/healthz" is asked 20 times a second meanwhile.

    `cascade` needs an LLM: `propriety serve llm`. Without --url, each row's service is started and stopped here; with
    it, each row gets prompts of its own, so there are fewer of them.

    Example: python -m benchmarks.load --detector nearest --at-once 16 --minutes 30
    """
    settings, asked = read_settings(), prompts()
    detectors, callers = detector or [Detector.NEAREST, Detector.CASCADE], at_once or [1, 16, 64]
    rows = [(one, count) for one in detectors for count in callers]
    head = ("detector", "at once", *(LONG_HEAD if minutes else HEAD))
    heading(*head)

    async def measure(address: str, number: int) -> None:
        key, (one, count) = settings.api_key, rows[number]
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        limits = httpx.Limits(max_connections=count + 1)
        async with httpx.AsyncClient(
            base_url=address, headers=headers, timeout=TIMEOUT_S, limits=limits, trust_env=False
        ) as client:
            if minutes:
                await at_length(client, one, count, minutes)
            else:
                share = asked[number :: len(rows)] if url else asked
                await cold_and_warm(client, share[:limit], one, count, rounds)

    try:
        for number in range(len(rows)):
            with service(settings, url) as address:
                asyncio.run(measure(address, number))
    except (StartError, DegradedError, httpx.HTTPError) as error:
        fail(f"{type(error).__name__}: {error}", WRONG)


if __name__ == "__main__":
    typer.run(main)
