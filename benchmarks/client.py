"""Sends requests and times the responses."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpx

TIMEOUT_S = 600


async def send_all(
    client: httpx.AsyncClient,
    path: str,
    bodies: Iterable[dict[str, Any]],
    at_once: int,
    on_response: Callable[[int, httpx.Response], None] = lambda number, response: None,
) -> list[float]:
    """Post each body, and return the seconds until each response.

    Args:
        at_once: callers; each sends the next body as soon as it has its response.
        on_response: called with each body's number, from 0, and its response.

    Raises:
        httpx.HTTPError: a request fails, or its status is not 2xx.
    """
    remaining, seconds = enumerate(bodies), list[float]()

    async def call() -> None:
        for number, body in remaining:
            start = time.perf_counter()
            response = (await client.post(path, json=body)).raise_for_status()
            seconds.append(time.perf_counter() - start)
            on_response(number, response)

    await asyncio.gather(*(call() for _ in range(at_once)))
    return seconds


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
