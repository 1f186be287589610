"""Policies are reloaded when a file changes, and on SIGHUP; reviews made by other processes are followed."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy.exc import SQLAlchemyError

from agent.api.background.running import running
from agent.moderator import Moderator
from agent.policy.source import PolicyError
from agent.retrieval.rulebook import stamp

log = logging.getLogger("propriety")


@asynccontextmanager
async def policies_watched(moderator: Moderator) -> AsyncIterator[None]:
    """A context in which changed policies come into force without a restart."""
    hangup = asyncio.Event()
    if threading.current_thread() is threading.main_thread():  # only this one can handle signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    async with running(_watch(moderator, hangup)):
        yield


async def _watch(moderator: Moderator, hangup: asyncio.Event) -> None:
    """Compare the files' times, which works on every file system, and reload once two looks agree: a half-written copy
    is never read."""
    policies, settings = moderator.policies, moderator.settings
    before = await asyncio.to_thread(stamp, settings.policies_dir)
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(hangup.wait(), settings.policies_watch_s)
        now = await asyncio.to_thread(stamp, settings.policies_dir)
        try:
            await asyncio.to_thread(moderator.exemplars.refresh)
        except SQLAlchemyError as error:
            log.warning("reviews of other processes cannot be read: %s", type(error).__name__)
        if hangup.is_set() or (now != policies.seen and now == before):
            hangup.clear()
            try:
                await asyncio.to_thread(policies.reload)
            except PolicyError:
                pass  # `reload` has logged it
            except Exception:
                log.exception("the policies could not be reloaded")
        before = now
