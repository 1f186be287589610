"""Earlier verdicts, so that the same prompt under the same policy is not judged again.

Kept in memory by cachetools, or in a Redis that several processes share (extra `redis`).
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

REDIS_TIMEOUT_S = 0.5  # a slower cache does not help
PREFIX = "propriety:verdict:"


class Cache(Protocol):
    """Keeps verdicts by `cache_key`; any of them may disappear at any time."""

    async def get(self, key: str) -> Verdict | None: ...
    async def put(self, key: str, verdict: Verdict) -> None: ...


def cache_key(*parts: str) -> str:
    """A key made of everything that a verdict depends on."""
    return hashlib.sha256(
        "\0".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")
    ).hexdigest()


def open_cache(settings: Settings) -> Cache:
    """The cache that the settings name."""
    return RedisCache(settings) if settings.redis_url else MemoryCache(settings)


class MemoryCache:
    """The verdicts that were read last; used within one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._kept: TTLCache[str, Verdict] = TTLCache(settings.cache_size, settings.cache_ttl_s)

    async def get(self, key: str) -> Verdict | None:
        return _counted(self._kept.get(key))

    async def put(self, key: str, verdict: Verdict) -> None:
        if self._kept.maxsize:
            self._kept[key] = verdict


class RedisCache:
    """If Redis is unavailable, every prompt is judged, and the log says so."""

    def __init__(self, settings: Settings) -> None:
        """Connects on first use."""
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
        except Exception as error:  # also if an entry was written by another version
            log.warning("the cache in Redis cannot be read: %s", type(error).__name__)
            return _counted(None)

    async def put(self, key: str, verdict: Verdict) -> None:
        try:
            await self._redis.set(PREFIX + key, verdict.model_dump_json(), px=int(self._expiry_s * 1000))
        except Exception as error:
            log.warning("the cache in Redis cannot be written: %s", type(error).__name__)


def _counted(found: Verdict | None) -> Verdict | None:
    CACHE.labels("hit" if found else "miss").inc()
    return found
