"""How much a tenant may ask: prompts and pictures a minute, and requests at once.

`limits` counts the minute in a moving window, in memory or in Redis, which replicas share. Requests at once are counted
here, by each process: no library counts what is still running.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

from agent.api.errors import ApiError
from agent.settings import Settings
from agent.store.tenants import Tenant

log = logging.getLogger("propriety")

WINDOW_S = 60
REDIS_TIMEOUT_S = 0.5  # a slower Redis is treated as unavailable
MAX_CLOCK_DRIFT_S = 1.0


def open_limits(settings: Settings) -> Limits:
    """Limits counted in the settings' Redis, or in memory."""
    if settings.redis_url is None:
        return Limits(MemoryStorage())
    url = f"async+{settings.redis_url.get_secret_value()}"
    timeouts = {"socket_timeout": REDIS_TIMEOUT_S, "socket_connect_timeout": REDIS_TIMEOUT_S}
    return Limits(RedisStorage(url, wrap_exceptions=True, implementation="redispy", key_prefix="propriety", **timeouts))


class Limits:
    """Used within one event loop."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        """`clock` is the wall clock, in seconds."""
        self._storage, self._shared = storage, MovingWindowRateLimiter(storage)
        self._own_storage = storage if isinstance(storage, MemoryStorage) else MemoryStorage()
        self._own = MovingWindowRateLimiter(self._own_storage)
        self._clock, self._drift = clock, clock() - time.monotonic()
        self._running: Counter[str] = Counter()

    async def enter(self, tenant: Tenant) -> None:
        """Admit one request; call `leave` when it is done.

        Raises:
            ApiError: 429, with `Retry-After` in seconds.
        """
        if (concurrent := tenant.terms.concurrent) is not None and self._running[tenant.name] >= concurrent:
            raise too_many(f"{concurrent} requests of this key are running, which is its limit", 1)
        self._running[tenant.name] += 1
        try:
            await self.charge(tenant, 1)
        except BaseException:
            self.leave(tenant)
            raise

    async def charge(self, tenant: Tenant, count: int) -> None:
        """Count prompts or pictures.

        Raises:
            ApiError: 429, with `Retry-After` in seconds; 400 if the count alone exceeds the limit of a minute.
        """
        if (per_minute := tenant.terms.per_minute) is None or not count:
            return
        if count > per_minute:
            message = f"{count} prompts or pictures in one request; this key's limit is {per_minute} a minute."
            raise ApiError(400, message, "request_over_limit")
        wait_s = await self._hit(RateLimitItemPerMinute(per_minute), tenant.name, count)
        if wait_s is not None:
            raise too_many(f"the limit of this key is {per_minute} prompts and pictures a minute", wait_s)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if isinstance(self._storage, RedisStorage) and isinstance(self._storage.bridge, RedispyBridge):
            await self._storage.bridge.storage.aclose()

    def leave(self, tenant: Tenant) -> None:
        """A request that was admitted is done."""
        self._running[tenant.name] -= 1

    async def _hit(self, item: RateLimitItem, name: str, count: int) -> float | None:
        """None if the count fits into the window; else the seconds until it may."""
        await self._forget_if_the_clock_jumped()
        for limiter in (self._shared, self._own):
            try:
                if await limiter.hit(item, name, cost=count):
                    return None
                stats = await limiter.get_window_stats(item, name)
                # The oldest entry leaves first; a longer list waits for the whole window.
                return stats.reset_time - self._clock() if count == 1 else WINDOW_S
            except StorageError as error:
                log.warning("Redis does not count, so this process does: %s", type(error.storage_error).__name__)
        raise AssertionError("counting in memory never fails")

    async def _forget_if_the_clock_jumped(self) -> None:
        """`limits` counts by the wall clock. One that is set back would keep a tenant waiting for as long."""
        drift = self._clock() - time.monotonic()
        if abs(drift - self._drift) > MAX_CLOCK_DRIFT_S:
            self._drift = drift
            await self._own_storage.reset()


def too_many(reason: str, seconds: float) -> ApiError:
    """429, with the seconds after which to try again."""
    wait = min(max(math.ceil(seconds), 1), WINDOW_S)
    message = f"Too many requests: {reason}. Try again in {wait} s."
    return ApiError(429, message, "rate_limit_exceeded", headers={"Retry-After": str(wait)})
