"""What the benchmarks ask, how they time the answers, and how they print them."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, permutations
from typing import Any, NamedTuple

import httpx
import numpy as np
import typer

from evaluation.own_prompts import Conversation, Prompt, read_prompts

TIMEOUT_S = 600


class Asked(NamedTuple):
    """A prompt, and the BCP-47 locale under whose policy it is judged; `kind` is `offends`, `harmless`, or neither."""

    text: str
    locale: str
    kind: str


def prompts() -> list[Asked]:
    """The prompts of `evaluation/prompts/*.jsonl`, and the last turn of each conversation there, none twice."""
    single = (
        Asked(prompt.text, prompt.locale, "offends" if prompt.rule else "harmless")
        for name in ("flips", "artefacts", "sounds_unsafe")
        for prompt in read_prompts(name, Prompt)
    )
    talks = (
        Asked(talk.messages[-1].content, talk.locale, "a turn") for talk in read_prompts("conversations", Conversation)
    )
    asked = list({asked.text: asked for asked in chain(single, talks)}.values())
    random.Random(0).shuffle(asked)  # so that the first ones are of every kind
    return asked


def unending_prompts() -> Iterator[Asked]:
    """More than 200,000 prompts, each of two others, none twice."""
    for one, other in permutations(prompts(), 2):
        yield one._replace(text=f"{one.text}, {other.text}")


async def seconds(
    client: httpx.AsyncClient,
    path: str,
    bodies: Iterable[dict[str, Any]],
    at_once: int,
    tell: Callable[[int, httpx.Response], None] = lambda number, answer: None,
) -> list[float]:
    """How long each body's answer took; as soon as one of `at_once` callers has its answer, it sends the next.

    `tell` is given each answer, with the body's number from 0.

    Raises:
        httpx.HTTPError: where one is not answered, or not with a 2xx.
    """
    waiting, taken = enumerate(bodies), list[float]()

    async def call() -> None:
        for number, body in waiting:
            start = time.perf_counter()
            answer = (await client.post(path, json=body)).raise_for_status()
            taken.append(time.perf_counter() - start)
            tell(number, answer)

    await asyncio.gather(*(call() for _ in range(at_once)))
    return taken


def percentiles_ms(taken: list[float], *which: int) -> list[float]:
    """Those percentiles of seconds, in milliseconds."""
    return [float(value) for value in np.percentile(taken, which) * 1000]


def megabytes(count: float) -> str:
    """That many bytes, for people."""
    return f"{count / 1e6:.0f}"


def heading(*cells: object) -> None:
    """Begin a Markdown table."""
    row(*cells)
    typer.echo("|" + "---|" * len(cells))


def row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    typer.echo(f"| {' | '.join(map(str, cells))} |")


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
