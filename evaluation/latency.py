"""Latency of moderation over HTTP, by detector, alone and in company: `python -m evaluation.latency`.

The prompts are the policies' own tests, each under its locale, so that about half are rewritten. Needs a running
`propriety serve`; what vLLM did meanwhile is read off its metrics.
"""

import asyncio
import time
from typing import Annotated

import httpx
import numpy as np
import typer

from agent.policy_files import load_policies
from agent.schema import Detector
from agent.settings import Settings

COUNTERS = ("vllm:request_success_total", "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total")


def counters(settings: Settings) -> list[float]:
    """LLM calls, prompt tokens, and those of them that the prefix cache served, since the server started."""
    url = settings.llm_base_url.removesuffix("/v1")
    lines = httpx.get(f"{url}/metrics", trust_env=False).raise_for_status().text.splitlines()
    return [sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)) for name in COUNTERS]


async def seconds(url: str, asked: list[tuple[str, str]], detector: Detector, at_once: int) -> list[float]:
    """How long each answer took, the calls that are open at one time being `at_once` at most."""
    gate = asyncio.Semaphore(at_once)
    async with httpx.AsyncClient(base_url=url, timeout=600, trust_env=False) as client:

        async def ask(locale: str, prompt: str) -> float:
            body = {"input": prompt, "locale": locale, "model": f"propriety-{detector}"}
            async with gate:
                start = time.perf_counter()
                (await client.post("/v1/moderations", json=body)).raise_for_status()
                return time.perf_counter() - start

        return await asyncio.gather(*(ask(*pair) for pair in asked))


def main(
    detector: Annotated[list[Detector] | None, typer.Option(help="One or more; else all three. Repeatable.")] = None,
) -> None:
    """Print p50 and p95 in milliseconds, with the LLM's calls and its prefix cache, as a Markdown table.

    A third of the prompts warms the caches, one is asked alone and one sixteen at once, so that none is asked twice.
    """
    settings = Settings()
    url = f"http://127.0.0.1:{settings.port}"
    policies = load_policies(settings.policies_dir).values()
    tests = [(policy.tag, test.prompt) for policy in policies for test in policy.tests]
    typer.echo("| detector | at once | prompts | p50 ms | p95 ms | prompts/s | LLM calls a prompt | prefix cache |")
    typer.echo("|---|---|---|---|---|---|---|---|")
    for one in detector or list(Detector):
        asyncio.run(seconds(url, tests[::3], one, 16))
        for at_once, asked in ((1, tests[1::3]), (16, tests[2::3])):
            before, start = counters(settings), time.perf_counter()
            taken = asyncio.run(seconds(url, asked, one, at_once))
            wall = time.perf_counter() - start
            calls, tokens, hits = (after - b for after, b in zip(counters(settings), before, strict=True))
            p50, p95 = np.percentile(taken, [50, 95]) * 1000
            cached = f"{hits / tokens:.0%} of {tokens:.0f} tokens" if tokens else "–"
            row = (one.value, at_once, len(asked), f"{p50:.0f}", f"{p95:.0f}", f"{len(asked) / wall:.1f}")
            typer.echo(f"| {' | '.join(map(str, row))} | {calls / len(asked):.1f} | {cached} |")


if __name__ == "__main__":
    typer.run(main)
