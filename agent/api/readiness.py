"""Which parts can do their work, for `GET /readyz`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from agent.judge.question import judge
from agent.moderator import Moderator
from agent.policy.model import BASE
from agent.store.database import try_writing

PROBE_EVERY_S, PROBE_TIMEOUT_S = 5.0, 4.0


class Probe:
    """Checks one part every few seconds at most, however often its state is requested. Used within one event loop."""

    def __init__(self, check: Callable[[], Awaitable[object]], failed_state: str) -> None:
        """`check` raises if the part fails; `failed_state` is the state of the service then."""
        self._check, self._failed_state = check, failed_state
        self._running: asyncio.Task[str] | None = None
        self._started_at = 0.0

    async def state(self) -> str:
        """`ok`, or `failed_state` and the kind of error; at most `PROBE_EVERY_S` old, within `PROBE_TIMEOUT_S`."""
        if self._running is None or (self._running.done() and time.monotonic() - self._started_at > PROBE_EVERY_S):
            self._running, self._started_at = asyncio.create_task(self._run()), time.monotonic()
        try:
            left_s = self._started_at + PROBE_TIMEOUT_S - time.monotonic()
            return await asyncio.wait_for(asyncio.shield(self._running), left_s)
        except TimeoutError:
            return f"{self._failed_state}: no answer within {PROBE_TIMEOUT_S:.0f} s"

    async def _run(self) -> str:
        try:
            await self._check()
        except Exception as error:
            return f"{self._failed_state}: {type(error.__cause__ or error).__name__}"
        return "ok"


class Readiness:
    """The state of a moderator's parts."""

    def __init__(self, moderator: Moderator) -> None:
        self._moderator = moderator
        self._llm, self._database = Probe(self._ask_llm, "degraded"), Probe(self._write, "failed")

    async def parts(self) -> dict[str, str]:
        """`ok` or what is wrong, by part. Anybody may read this, so it names no path or address."""
        wrong = self._moderator.policies.problem is not None
        policies = "degraded: the previous policies are in force; see the log" if wrong else "ok"
        llm, database = await asyncio.gather(self._llm.state(), self._database.state())
        return {"policies": policies, "index": "ok", "llm": llm, "database": database}

    async def _ask_llm(self) -> None:
        base = self._moderator.policies[BASE]
        await judge(self._moderator.model, base, base.rules[:1], "a red apple on a table")

    async def _write(self) -> None:
        await asyncio.to_thread(try_writing, self._moderator.store.database)
