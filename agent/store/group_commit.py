"""Group commit: waiting items are committed together, since each commit waits for the disk.

The next transaction fills while one is being written. A single thread writes, so that SQLite's writers never wait for
each other, and encoding in other threads never delays a commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from agent.store.database import AWAY

Item = TypeVar("Item")

MAX_ITEMS = 500  # in one transaction


class GroupCommit(Generic[Item]):
    """Used within one event loop at a time."""

    def __init__(self, write: Callable[[Sequence[Item]], object]) -> None:
        """`write` commits all items, or raises and commits none; it runs in another thread."""
        self._write = write
        self._waiting: list[tuple[Item, asyncio.Future[None]]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._running: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> None:
        """Returns once the item is committed, or raises what `write` raised for it."""
        committed = asyncio.get_running_loop().create_future()
        self._waiting.append((item, committed))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        await committed

    async def _run(self) -> None:
        while self._waiting:
            together, self._waiting = self._waiting[:MAX_ITEMS], self._waiting[MAX_ITEMS:]
            errors = await self._committed([item for item, _ in together])
            for (_, committed), error in zip(together, errors, strict=True):
                if committed.done():  # the caller was cancelled
                    continue
                if error is None:
                    committed.set_result(None)
                else:
                    committed.set_exception(error)

    async def _committed(self, items: Sequence[Item]) -> list[Exception | None]:
        """None for each committed item, else its error: one that cannot be written does not affect the others."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, items)
        except Exception as error:
            if len(items) == 1 or isinstance(error, AWAY):
                return [error] * len(items)
            return [(await self._committed([item]))[0] for item in items]
        return [None] * len(items)
