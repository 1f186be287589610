"""What is past its time is deleted while the service runs, not only when it starts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError

from agent.api.background.running import running
from agent.store.store import Store

log = logging.getLogger("propriety")

PURGE_EVERY_S = 600.0


@asynccontextmanager
async def store_purged(store: Store) -> AsyncIterator[None]:
    """A context in which `Store.purge` runs now and every `PURGE_EVERY_S`."""
    async with running(_purge(store)):
        yield


async def _purge(store: Store) -> None:
    while True:
        try:
            if any(purged := await asyncio.to_thread(store.purge)):
                counts = purged._asdict().items()
                log.info("deleted what is past its time: %s", ", ".join(f"{count} {name}" for name, count in counts))
        except SQLAlchemyError as error:
            log.warning("what is past its time cannot be deleted now: %s", type(error).__name__)
        await asyncio.sleep(PURGE_EVERY_S)
