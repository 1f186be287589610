"""Policies are read anew when a file changes, and on SIGHUP; other processes' reviews are followed as they come."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from agent.api.background.running import running
from agent.moderator import Moderator
from agent.policy.source import PolicyError
from agent.retrieval.rulebook import stamp

log = logging.getLogger("propriety")


@asynccontextmanager
async def policies_watched(app: FastAPI) -> AsyncIterator[None]:
    """A lifespan in which changed policies are served without a restart."""
    moderator: Moderator = app.state.moderator
    hangup = asyncio.Event()
    if threading.current_thread() is threading.main_thread():  # no other may ask for signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    async with running(_watch(moderator, hangup)):
        yield


async def _watch(moderator: Moderator, hangup: asyncio.Event) -> None:
    """By the files' times, which work on every file system; only when two looks agree, so that no half copy is read."""
    directory, interval_s = moderator.settings.policies_dir, moderator.settings.policies_watch_s
    before = await asyncio.to_thread(stamp, directory)
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(hangup.wait(), interval_s)
        now = await asyncio.to_thread(stamp, directory)
        try:
            await asyncio.to_thread(moderator.follow_reviews)
        except SQLAlchemyError as error:
            log.warning("other processes' reviews cannot be followed: %s", type(error).__name__)
        if hangup.is_set() or (now != moderator.seen and now == before):
            hangup.clear()
            try:
                await asyncio.to_thread(moderator.reload)
            except PolicyError:
                pass  # the moderator has said so
            except Exception:
                log.exception("the policies could not be read anew")
        before = now
