"""Whether a part can answer: asked every few seconds at most, whoever wants to know, and not waited for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

KEPT_S, PATIENCE_S = 5.0, 4.0


class Probe:
    """Used within one event loop."""

    def __init__(self, ask: Callable[[], Awaitable[object]], without: str) -> None:
        """`ask` raises where the part cannot answer; `without` names the state that the service is in then."""
        self._ask, self._without = ask, without
        self._asked: asyncio.Task[str] | None = None
        self._since = 0.0

    async def state(self) -> str:
        """`ok`, or `without` and the kind of error; at most `KEPT_S` old, and said within `PATIENCE_S`."""
        if self._asked is None or (self._asked.done() and time.monotonic() - self._since > KEPT_S):
            self._asked, self._since = asyncio.create_task(self._told()), time.monotonic()
        left_s = self._since + PATIENCE_S - time.monotonic()
        try:
            return await asyncio.wait_for(asyncio.shield(self._asked), left_s)
        except TimeoutError:
            return f"{self._without}: no answer within {PATIENCE_S:.0f} s"

    async def _told(self) -> str:
        try:
            await self._ask()
        except Exception as error:
            return f"{self._without}: {type(error.__cause__ or error).__name__}"
        return "ok"
