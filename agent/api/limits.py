"""How much a tenant may ask: a token bucket of prompts and pictures a minute, and requests at once; and who is first.

By hand, since the libraries at hand count in windows, whose edges let twice the rate through. Counted by each process
for itself, within its one event loop.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from agent.api.errors import ApiError
from agent.store.tenants import Tenant

PATIENCE_S = 1.5  # a day of it is a batch of 50,000 lines, so that one ends where it is never quiet
UPLOADS = 4


class Limits:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._tokens: dict[str, tuple[float, float]] = {}
        self._running: Counter[str] = Counter()

    def enter(self, tenant: Tenant) -> None:
        """Count one request in; `leave` is called when it is done.

        Raises:
            ApiError: 429, with the seconds after which it may be tried again.
        """
        if (concurrent := tenant.terms.concurrent) is not None and self._running[tenant.name] >= concurrent:
            raise _too_many(f"{concurrent} requests at once are served, and as many run already", 1)
        if (per_minute := tenant.terms.per_minute) is not None:
            tokens = self._refilled(tenant.name, per_minute)
            if tokens < 1:
                raise _too_many(f"{per_minute} prompts a minute are served", (1 - tokens) * 60 / per_minute)
        self._running[tenant.name] += 1
        self.charge(tenant, 1)

    def charge(self, tenant: Tenant, count: int) -> None:
        """Count prompts or pictures of a request that was let in; what is beyond the limit is owed, and waited for."""
        if (per_minute := tenant.terms.per_minute) is not None:
            self._tokens[tenant.name] = self._refilled(tenant.name, per_minute) - count, self._clock()

    def leave(self, tenant: Tenant) -> None:
        self._running[tenant.name] -= 1

    def _refilled(self, name: str, per_minute: int) -> float:
        tokens, since = self._tokens.get(name, (float(per_minute), 0.0))
        return min(float(per_minute), tokens + (self._clock() - since) * per_minute / 60)


class Traffic:
    """Prompts of live requests are judged at once; those of batches a few at a time, while no live one is judged."""

    def __init__(self, batch_concurrency: int) -> None:
        """`batch_concurrency` prompts of batches are judged at once."""
        self._live, self._quiet, self._seats = 0, asyncio.Event(), asyncio.Semaphore(batch_concurrency)
        self._uploads = 0
        self._quiet.set()

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """While a prompt of a live request is judged."""
        self._live += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._live -= 1
            if not self._live:
                self._quiet.set()

    @asynccontextmanager
    async def spare(self) -> AsyncIterator[None]:
        """While a prompt of a batch is judged: once none of a live request is, or after `PATIENCE_S`."""
        async with self._seats:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await self._quiet.wait()
            yield

    @contextmanager
    def upload(self) -> Iterator[None]:
        """While a file is taken in, which may be large.

        Raises:
            ApiError: 429, where as many are as are taken in at once.
        """
        if self._uploads >= UPLOADS:
            raise _too_many(f"{UPLOADS} files at once are taken in, and as many are sent already", 5)
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1


def _too_many(reason: str, seconds: float) -> ApiError:
    wait = max(math.ceil(seconds), 1)
    message = f"Too many requests: {reason}. Try again after {wait} s."
    return ApiError(429, message, "rate_limit_exceeded", headers={"Retry-After": str(wait)})
