"""What is counted and timed, for Prometheus; prometheus-client is its own library, and thread-safe."""

from __future__ import annotations

from prometheus_client import Counter

CACHE = Counter("propriety_cache_requests", "Questions to the cache of verdicts.", ["result"])
