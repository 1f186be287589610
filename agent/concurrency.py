"""Do many things at once, but not too many.

Threads that encode are apart from asyncio's default ones: however many prompts wait to be encoded, the database and
files are reached at once. Tenants take turns there, so that a thousand prompts of one delay another's by few.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from threading import Lock
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT = 16  # the LLM server batches this many by default

working_for: ContextVar[str] = ContextVar("working_for", default="")  # the tenant, who takes turns with the others

_encoders = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="encode")
_waiting: dict[str, deque[tuple[Future[Any], Callable[[], Any]]]] = {}  # by tenant; the first one's turn is next
_lock = Lock()


async def in_encoder_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """Run what computes vectors in a thread; as many run at once as there are cores, in turn for each tenant."""
    done: Future[Result] = Future()
    run = partial(contextvars.copy_context().run, function, *arguments)
    with _lock:
        _waiting.setdefault(working_for.get(), deque()).append((done, run))
    _encoders.submit(_take_turn)
    return await asyncio.wrap_future(done)


def _take_turn() -> None:
    with _lock:
        tenant = next(iter(_waiting))
        queue = _waiting.pop(tenant)
        done, run = queue.popleft()
        if queue:
            _waiting[tenant] = queue  # at the end
    if not done.set_running_or_notify_cancel():
        return
    try:
        done.set_result(run())
    except BaseException as error:
        done.set_exception(error)


async def together(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Run everything at once. If one part fails, the others are cancelled and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def work_through(
    items: Iterable[Item], work: Callable[[Item], Awaitable[None]], done: Callable[[], None] | None = None
) -> None:
    """Do the work for every item, `IN_FLIGHT` of them at a time, and call `done` after each.

    The items are taken one by one, so they may come from a long file. The first failure ends the work.
    """
    remaining = iter(items)

    async def take() -> None:
        for item in remaining:
            await work(item)
            if done:
                done()

    await together(take() for _ in range(IN_FLIGHT))


async def map_in_order(
    items: Iterable[Item], work: Callable[[Item], Awaitable[Result]], done: Callable[[], None] | None = None
) -> list[Result]:
    """As `work_through`; what the work returns for each item, in the order of the items."""
    results: dict[int, Result] = {}

    async def one(numbered: tuple[int, Item]) -> None:
        index, item = numbered
        results[index] = await work(item)

    await work_through(enumerate(items), one, done)
    return [results[index] for index in sorted(results)]
