"""Propriety and other guards on the same prompts, in one run: `python -m benchmarks.compare --folder FOLDER`.

The guards do not check the same things; each row says what was checked.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Annotated

import httpx
import psutil
import typer

from agent.policy.concept_bank import load_bank
from agent.stack import StartError
from agent.terminal.console import WRONG, fail
from agent.terminal.loading import read_settings
from benchmarks.client import TIMEOUT_S, send_all
from benchmarks.guards import Guard, guardrails_ai, llm_guard, nemo_llm, nemo_regex, propriety
from benchmarks.tables import megabytes, percentiles_ms, print_head, print_row
from benchmarks.workload import HARMLESS, OFFENDING, TURN, Request, requests
from propriety.verdict import Detector

WARM_UP = 20
HEAD = ("guard", "what it checked", "at once", "first answer after s", "answers/s", "p50 ms", "p95 ms", "CPU ms",
        "memory MB", "flagged: offending", "harmless")  # fmt: skip


def measure(guard: Guard, sent: list[Request], at_once: int) -> None:
    """Start a guard, send the requests, print a row, and stop it.

    Raises:
        StartError: the guard does not start.
        httpx.HTTPError: a request fails, or its status is not 2xx.
    """
    others, start = set(_processes_except(set())), time.perf_counter()
    with guard.run() as url:
        asyncio.run(_measure(guard, url, sent, at_once, start, others))


async def _measure(
    guard: Guard, url: str, sent: list[Request], at_once: int, start: float, others: set[psutil.Process]
) -> None:
    flagged = dict.fromkeys((OFFENDING, HARMLESS, TURN), 0)

    def count(number: int, response: httpx.Response) -> None:
        flagged[sent[number].kind] += guard.flagged(response.json())

    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        warm_up = [guard.body(one._replace(text=f"a drawing, number {n}")) for n, one in enumerate(sent[:WARM_UP])]
        await send_all(client, guard.path, warm_up[:1], 1)
        first_s = time.perf_counter() - start
        await send_all(client, guard.path, warm_up[1:], at_once)
        begin, cpu_s = time.perf_counter(), _cpu_s(others)
        seconds = await send_all(client, guard.path, map(guard.body, sent), at_once, count)
        wall_s, cpu_s = time.perf_counter() - begin, _cpu_s(others) - cpu_s
    memory = sum(process.memory_info().rss for process in _processes_except(others))
    p50, p95 = percentiles_ms(seconds, 50, 95)
    shares = (f"{flagged[kind]} of {sum(one.kind == kind for one in sent)}" for kind in (OFFENDING, HARMLESS))
    print_row(
        guard.name, guard.checks, at_once, f"{first_s:.1f}", f"{len(seconds) / wall_s:.1f}", f"{p50:.1f}",
        f"{p95:.1f}", f"{cpu_s / len(seconds) * 1000:.1f}", megabytes(memory), *shares,
    )  # fmt: skip


def _processes_except(others: set[psutil.Process]) -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if process not in others]


def _cpu_s(others: set[psutil.Process]) -> float:
    """CPU time so far of the guard's processes, which are all children except `others`."""
    times = [process.cpu_times() for process in _processes_except(others)]
    return float(sum(time.user + time.system for time in times))


def main(
    folder: Annotated[Path, typer.Option(file_okay=False, help="For the guards' virtual environments; about 7 GB.")],
    at_once: Annotated[
        list[int] | None, typer.Option(min=1, help="Number of callers; default: 1 and 16. Repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum prompts.")] = 500,
    llm: Annotated[bool, typer.Option("--llm", help="Add the guards that use the LLM of the settings.")] = False,
) -> None:
    """Print how fast Propriety and other guards answer the same prompts, and what they need, as a Markdown table.

    LLM Guard, NeMo Guardrails and Guardrails AI are installed from PyPI, and do what they can without a model hub or an
    account: they forbid the phrases of the concept bank, letter by letter. Memory is that of the guard's processes
    after the last answer; "CPU" is their time per answer; neither includes the LLM's server. A guard is started anew
    for each number of callers. The last columns count the flagged prompts among those that break a rule of their place,
    and among harmless ones.

    Example: python -m benchmarks.compare --folder rivals
    """
    settings = read_settings()
    bank = load_bank(settings.policies_dir)
    phrases = sorted({unsafe.text for topic in bank.topics.values() for unsafe in topic.unsafe})
    sent = requests()[:limit]
    try:
        guards = [
            propriety(settings, Detector.NEAREST),
            llm_guard(folder / "llm-guard", phrases),
            nemo_regex(folder / "nemo-guardrails", phrases),
            guardrails_ai(folder / "guardrails-ai", phrases),
        ]
        if llm:
            guards += [propriety(settings, Detector.CASCADE), nemo_llm(folder / "nemo-guardrails", settings)]
        print_head(*HEAD)
        for guard in guards:
            for callers in at_once or [1, 16]:
                measure(guard, sent, callers)
    except (StartError, httpx.HTTPError, subprocess.CalledProcessError) as error:
        fail(f"{type(error).__name__}: {error}", WRONG)


if __name__ == "__main__":
    typer.run(main)
