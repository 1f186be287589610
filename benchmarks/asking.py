"""What the benchmarks ask, and how they time the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from itertools import chain, permutations
from typing import Any, NamedTuple

import httpx
import numpy as np

from evaluation.judgement import Conversation, Prompt, read_prompts

TIMEOUT_S = 600


class Asked(NamedTuple):
    """A prompt, and the BCP-47 locale under whose policy it is judged."""

    text: str
    locale: str


def prompts() -> list[Asked]:
    """The prompts of `evaluation/prompts/*.jsonl`, and the last turn of each conversation there, none twice."""
    single = (
        Asked(prompt.text, prompt.locale)
        for name in ("flips", "artefacts", "sounds_unsafe")
        for prompt in read_prompts(name, Prompt)
    )
    talks = (Asked(talk.messages[-1].content, talk.locale) for talk in read_prompts("conversations", Conversation))
    return list({asked.text: asked for asked in chain(single, talks)}.values())


def unending_prompts() -> Iterator[Asked]:
    """More than 200,000 prompts, each of two others, none twice."""
    for one, other in permutations(prompts(), 2):
        yield Asked(f"{one.text}, {other.text}", one.locale)


async def seconds(client: httpx.AsyncClient, path: str, bodies: Iterable[dict[str, Any]], at_once: int) -> list[float]:
    """How long each body's answer took; as soon as one of `at_once` callers has its answer, it sends the next.

    Raises:
        httpx.HTTPError: where one is not answered, or not with a 2xx.
    """
    waiting, taken = iter(bodies), list[float]()

    async def call() -> None:
        for body in waiting:
            start = time.perf_counter()
            (await client.post(path, json=body)).raise_for_status()
            taken.append(time.perf_counter() - start)

    await asyncio.gather(*(call() for _ in range(at_once)))
    return taken


def percentiles_ms(taken: list[float], *which: int) -> list[float]:
    """Those percentiles of seconds, in milliseconds."""
    return [float(value) for value in np.percentile(taken, which) * 1000]
