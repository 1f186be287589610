"""A bounded queue in front of the drawing thread. It batches the pictures of all callers."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from propriety.drawing import MAX_IMAGES_AT_ONCE
from propriety.telemetry.logs import request_id

if TYPE_CHECKING:
    from generator.last_look import Blocked
    from generator.pipeline import DrawnPicture, Planned

    Draw = Callable[[list[Planned], Callable[[int], None]], list[DrawnPicture | Blocked]]

log = logging.getLogger("generator")


class QueueFullError(RuntimeError):
    """The queue is full; there should be room after `retry_after_s` seconds."""

    def __init__(self, waiting: int, retry_after_s: int) -> None:
        super().__init__(f"{waiting} pictures are already waiting; try again in about {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class ClosingError(RuntimeError):
    """The worker is shutting down and takes no new pictures."""


class AbandonedError(RuntimeError):
    """All callers of a batch have disconnected."""


@dataclass(frozen=True, eq=False)
class Ticket:
    """A picture's place in the queue. `outcome` is set when it is drawn; cancel it to give up the place."""

    planned: Planned
    since: float
    outcome: asyncio.Future[DrawnPicture | Blocked]
    on_step: Callable[[int], None]
    request_id: str = field(default_factory=request_id.get)


class Queue:
    """Draws the oldest waiting picture in a batch with others of its kind. Belongs to one event loop."""

    def __init__(self, draw: Draw, thread: Executor, limit: int, wait_s: float) -> None:
        """
        Args:
            draw: draws pictures of one kind, in `thread`; calls back after each step.
            limit: pictures that may wait, not counting those being drawn.
            wait_s: seconds that the oldest picture waits for its batch to fill.
        """
        self._draw, self._thread, self._limit, self._wait_s = draw, thread, limit, wait_s
        self._tickets: list[Ticket] = []
        self._arrived = asyncio.Event()
        self._closed = False
        self._seconds_each = 1.0

    def put(self, planned: Sequence[Planned], on_step: Callable[[int, int], None]) -> list[Ticket]:
        """Queue all pictures, or none; `on_step(index, steps)` reports how many steps each has done.

        Raises:
            QueueFullError: too many would wait.
            ClosingError: the queue is closed.
        """
        if self._closed:
            raise ClosingError("The worker is shutting down.")
        waiting = len(self.waiting)
        if waiting + len(planned) > self._limit:
            raise QueueFullError(waiting, max(1, math.ceil(waiting * self._seconds_each)))
        loop = asyncio.get_running_loop()
        tickets = [
            Ticket(picture, loop.time(), loop.create_future(), partial(on_step, index))
            for index, picture in enumerate(planned)
        ]
        self._tickets += tickets
        self._arrived.set()
        return tickets

    def close(self) -> None:
        """Refuse waiting and new pictures; the batch being drawn is finished."""
        self._closed = True
        for ticket in self.waiting:
            ticket.outcome.set_exception(ClosingError("The worker is shutting down."))
        self._tickets.clear()

    async def run(self) -> None:
        """Draws one batch after another, forever."""
        while True:
            await self._draw_together(await self._next_batch())

    @property
    def waiting(self) -> list[Ticket]:
        """The tickets that are neither given up nor being drawn, oldest first."""
        self._tickets = [ticket for ticket in self._tickets if not ticket.outcome.cancelled()]
        return self._tickets

    async def _next_batch(self) -> list[Ticket]:
        loop = asyncio.get_running_loop()
        while True:
            self._arrived.clear()
            left_s = None
            if waiting := self.waiting:
                kind = waiting[0].planned.kind
                batch = [ticket for ticket in waiting if ticket.planned.kind == kind][:MAX_IMAGES_AT_ONCE]
                left_s = batch[0].since + self._wait_s - loop.time()
                if len(batch) == MAX_IMAGES_AT_ONCE or left_s <= 0:
                    self._tickets = [ticket for ticket in waiting if ticket not in batch]
                    return batch
            with suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), left_s)

    async def _draw_together(self, batch: list[Ticket]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        requests = {"requests": sorted({ticket.request_id for ticket in batch})}

        def on_step(step: int) -> None:
            if all(ticket.outcome.cancelled() for ticket in batch):
                raise AbandonedError
            for ticket in batch:
                loop.call_soon_threadsafe(ticket.on_step, step)

        try:
            planned = [ticket.planned for ticket in batch]
            outcomes = await loop.run_in_executor(self._thread, self._draw, planned, on_step)
        except AbandonedError:
            return
        except Exception as error:
            if len(batch) > 1:
                log.exception("a batch of %d failed; drawing its pictures one by one", len(batch), extra=requests)
                for ticket in batch:
                    await self._draw_together([ticket])
                return
            log.exception("drawing failed", extra=requests)
            if not batch[0].outcome.done():
                batch[0].outcome.set_exception(error)
            return
        self._seconds_each = (loop.time() - started) / len(batch)
        for ticket, outcome in zip(batch, outcomes, strict=True):
            if not ticket.outcome.done():
                ticket.outcome.set_result(outcome)
