"""How long a question waits for the LLM, and how many are asked at once.

People wait for live requests, so those fail fast: the newest prompt is refused before anybody's verdict gets worse.
Nobody waits for files, batches and tests of policies, so those ask no more than the LLM answers, and ask again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from enum import Enum, auto

FIRST_LIMIT, MAX_LIMIT = 16.0, 256.0  # questions at once; vLLM batches 16 in the stack
FIRST_GUESS = 30  # the first answers are expected to be this many times quicker than a slow one
REMEMBERED = 0.9  # share of the previous mean in the mean time of an answer


class Patience(Enum):
    """`NEW`: a live prompt that can still be refused; `STARTED`: a live prompt in progress; `OFFLINE`: nobody waits."""

    NEW = auto()
    STARTED = auto()
    OFFLINE = auto()


_patience = ContextVar("patience", default=Patience.NEW)


def patience() -> Patience:
    """The patience of the current work."""
    return _patience.get()


@contextmanager
def working(how: Patience) -> Iterator[None]:
    """Sets the patience of the work in this context. Offline work stays offline."""
    token = _patience.set(Patience.OFFLINE if patience() is Patience.OFFLINE else how)
    try:
        yield
    finally:
        _patience.reset(token)


class Slots:
    """Limits the questions at once to what the LLM answers in time. A slow answer halves the limit, and as many quick
    answers as the limit raise it by one (AIMD, as in TCP). Own code, since no maintained library does this. Used within
    one event loop."""

    def __init__(self, slow_s: float) -> None:
        """`slow_s` is the time of an answer, in seconds, at which fewer are asked."""
        self._slow_s, self._limit, self._running = slow_s, FIRST_LIMIT, 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._answer_s, self._shrunk_at = slow_s / FIRST_GUESS, 0.0

    @property
    def wait_s(self) -> float:
        """Seconds after which a new question would be asked, judged by the last answers."""
        free = self._running < int(self._limit) and not self._waiting
        return 0.0 if free else (len(self._waiting) + 1) / self._limit * self._answer_s

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Held while a question is asked; first come, first served."""
        await self._enter()
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            yield
        except Exception:
            self._learn(started, clock(), answered=False)
            raise
        else:
            self._learn(started, clock(), answered=True)
        finally:
            self._leave()

    async def _enter(self) -> None:
        if self._running < int(self._limit) and not self._waiting:
            self._running += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn  # whoever left has counted this one as running
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(turn)
            else:
                self._leave()
            raise

    def _leave(self) -> None:
        self._running -= 1
        while self._waiting and self._running < int(self._limit):
            self._running += 1
            self._waiting.popleft().set_result(None)

    def _learn(self, started: float, now: float, answered: bool) -> None:
        if answered:
            self._answer_s = REMEMBERED * self._answer_s + (1 - REMEMBERED) * (now - started)
        if now - started >= self._slow_s:
            if started >= self._shrunk_at:  # those asked before are slow for the same reason
                self._limit, self._shrunk_at = max(self._limit / 2, 1.0), now
        elif answered and self._running >= int(self._limit):
            self._limit = min(self._limit + 1 / self._limit, MAX_LIMIT)
