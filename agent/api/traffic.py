"""Who goes first: live requests before batches, and a bounded number of uploads."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from agent.api.limits import too_many

MAX_WAIT_FOR_LIVE_S = 1.5  # 50,000 lines at one in 1.5 s take less than a day, so a batch ends even without a pause
MAX_UPLOADS, MAX_UPLOADS_OF_TENANT = 16, 2


class Traffic:
    """Prompts of live requests are judged at once; those of batches a few at a time, while no live one is judged."""

    def __init__(self, batch_concurrency: int) -> None:
        """`batch_concurrency` is how many prompts of batches are judged at once."""
        self._live, self._quiet, self._seats = 0, asyncio.Event(), asyncio.Semaphore(batch_concurrency)
        self._uploads: Counter[str] = Counter()
        self._quiet.set()

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Held while a prompt of a live request is judged."""
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
        """Held while a prompt of a batch is judged: begins when no live one is, or after `MAX_WAIT_FOR_LIVE_S`."""
        async with self._seats:
            with suppress(TimeoutError):
                async with asyncio.timeout(MAX_WAIT_FOR_LIVE_S):
                    await self._quiet.wait()
            yield

    @contextmanager
    def upload(self, tenant: str) -> Iterator[None]:
        """Held while a file is received, which may be large.

        Raises:
            ApiError: 429 when the tenant's upload slots are busy, or those of all.
        """
        if self._uploads[tenant] >= MAX_UPLOADS_OF_TENANT:
            raise too_many(f"{MAX_UPLOADS_OF_TENANT} of your files are being uploaded, which is the limit", 5)
        if self._uploads.total() >= MAX_UPLOADS:
            raise too_many(f"{MAX_UPLOADS} files are being uploaded, which is the limit", 5)
        self._uploads[tenant] += 1
        try:
            yield
        finally:
            self._uploads[tenant] -= 1
