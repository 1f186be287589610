"""Links to pictures, for clients that ask for a URL: a picture stays in this process's memory for a few minutes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from cachetools import TTLCache

LINK_PATH = "/v1/pictures/"
LINK_S, MAX_BYTES = 600, 256 << 20


class Links:
    """Pictures by the token in their link; the oldest make room for new ones. Used within one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives the seconds by which pictures are kept."""
        self._kept: TTLCache[str, bytes] = TTLCache(MAX_BYTES, LINK_S, clock, len)

    def add(self, image: bytes) -> str:
        """Keep a picture; returns its token, 256 random bits, since anybody with the link can see the picture."""
        token = secrets.token_urlsafe(32)
        self._kept[token] = image
        return token

    def find(self, token: str) -> bytes | None:
        """The picture, or None if it is no longer kept."""
        return self._kept.get(token)
