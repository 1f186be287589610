"""Verdicts given before, so that the same question under the same policy is answered without judging it again.

In memory, or in Redis where one is configured, which several processes share. cachetools bounds and expires the first;
the official client `redis`, an extra, speaks to the second.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any, Protocol

from cachetools import TTLCache

from agent.metrics import CACHE
from agent.settings import Settings
from propriety.verdict import Verdict

log = logging.getLogger("propriety")

REDIS_TIMEOUT_S = 0.5  # a cache that is slower than that is no help
PREFIX = "propriety:verdict:"


class Cache(Protocol):
    """Keeps what is asked for by `cache_key`; all of it may be gone at any time."""

    async def get(self, key: str) -> Verdict | None: ...
    async def put(self, key: str, verdict: Verdict) -> None: ...


def cache_key(*parts: str) -> str:
    """A key of all that a verdict follows from."""
    return hashlib.sha256(
        "\0".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")
    ).hexdigest()


def open_cache(settings: Settings) -> Cache:
    """The cache that the settings name."""
    return RedisCache(settings) if settings.redis_url else MemoryCache(settings)


class MemoryCache:
    """The last verdicts asked for; used within one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._kept: TTLCache[str, Verdict] = TTLCache(settings.cache_size, settings.cache_ttl_s)

    async def get(self, key: str) -> Verdict | None:
        return _counted(self._kept.get(key))

    async def put(self, key: str, verdict: Verdict) -> None:
        if self._kept.maxsize:
            self._kept[key] = verdict


class RedisCache:
    """Where Redis cannot be reached, every prompt is judged, and the log says so."""

    def __init__(self, settings: Settings) -> None:
        """Connects when it is first asked."""
        from redis.asyncio import Redis

        assert settings.redis_url is not None
        self._expiry_s = settings.cache_ttl_s
        self._redis: Any = Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
        )

    async def get(self, key: str) -> Verdict | None:
        try:
            kept = await self._redis.get(PREFIX + key)
            return _counted(Verdict.model_validate_json(kept) if kept else None)
        except Exception as error:  # what is in it may be of another version, too
            log.warning("the cache in Redis does not answer: %s", type(error).__name__)
            return _counted(None)

    async def put(self, key: str, verdict: Verdict) -> None:
        try:
            await self._redis.set(PREFIX + key, verdict.model_dump_json(), px=int(self._expiry_s * 1000))
        except Exception as error:
            log.warning("the cache in Redis takes nothing: %s", type(error).__name__)


def _counted(found: Verdict | None) -> Verdict | None:
    CACHE.labels("hit" if found else "miss").inc()
    return found
