"""The queue, with a drawing function that waits or fails as a test needs; no model is loaded."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from generator.queue import ClosingError, Queue, QueueFullError


class Easel:
    """Draws a picture as its name, when it may; records the batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.started, self.may_draw = threading.Event(), threading.Event()
        self.may_draw.set()

    def draw(self, batch: list[Any], on_step: Callable[[int], None]) -> list[Any]:
        self.batches.append([one.name for one in batch])
        self.started.set()
        assert self.may_draw.wait(10)
        on_step(1)
        if any(one.name == "cursed" for one in batch):
            raise RuntimeError("the picture is cursed")
        return [one.name for one in batch]


def pictures(*names: str, kind: str = "square") -> list[Any]:
    return [SimpleNamespace(name=name, kind=kind) for name in names]


def ignore(index: int, step: int) -> None: ...


def run(
    scenario: Callable[[Queue, Easel], Coroutine[Any, Any, None]], *, limit: int = 64, wait_s: float = 0.05
) -> Easel:
    """Runs a scenario while the queue draws."""
    easel = Easel()

    async def both() -> None:
        with ThreadPoolExecutor(1) as thread:
            queue = Queue(easel.draw, thread, limit, wait_s)
            running = asyncio.create_task(queue.run())
            try:
                await asyncio.wait_for(scenario(queue, easel), 10)
            finally:
                easel.may_draw.set()
                running.cancel()

    asyncio.run(both())
    return easel


async def drawn(tickets: list[Any]) -> list[Any]:
    return list(await asyncio.gather(*(ticket.outcome for ticket in tickets)))


async def until_drawing(easel: Easel) -> None:
    await asyncio.to_thread(easel.started.wait, 10)


def test_pictures_of_one_kind_share_a_batch_across_calls() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        one = queue.put(pictures("a", "b"), ignore)
        other = queue.put(pictures("c", kind="wide"), ignore)
        third = queue.put(pictures("d"), ignore)
        assert await drawn(one + other + third) == ["a", "b", "c", "d"]

    assert run(scenario).batches == [["a", "b", "d"], ["c"]]


def test_a_full_batch_does_not_wait() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        tickets = queue.put(pictures(*"abcdefghi"), ignore)
        await asyncio.wait_for(drawn(tickets[:8]), 5)
        assert not tickets[8].outcome.done()

    assert run(scenario, wait_s=3600).batches == [list("abcdefgh")]


def test_an_unfilled_batch_waits_and_is_then_drawn() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        began = asyncio.get_running_loop().time()
        await drawn(queue.put(pictures("a"), ignore))
        assert asyncio.get_running_loop().time() - began >= 0.2

    run(scenario, wait_s=0.2)


def test_beyond_the_limit_all_pictures_of_a_call_are_refused_with_a_time_to_retry() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        queue.put(pictures("a", "b"), ignore)
        with pytest.raises(QueueFullError, match="2 pictures are already waiting") as full:
            queue.put(pictures("c", "d"), ignore)
        assert full.value.retry_after_s >= 1
        await drawn(queue.put(pictures("e"), ignore))

    assert run(scenario, limit=3).batches == [["a", "b", "e"]]


def test_a_cancelled_ticket_is_not_drawn_and_makes_room() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        (gone,) = queue.put(pictures("a"), ignore)
        gone.outcome.cancel()
        await drawn(queue.put(pictures("b"), ignore))

    assert run(scenario, limit=1).batches == [["b"]]


def test_a_batch_stops_once_all_its_tickets_are_cancelled() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        easel.may_draw.clear()
        steps: list[tuple[int, int]] = []
        cancelled, kept = queue.put(pictures("a", "b"), lambda *step: steps.append(step))
        await until_drawing(easel)
        cancelled.outcome.cancel()
        easel.may_draw.set()
        assert await kept.outcome == "b"
        assert (1, 1) in steps

        easel.may_draw.clear()
        easel.started.clear()
        steps.clear()
        (alone,) = queue.put(pictures("c"), lambda *step: steps.append(step))
        await until_drawing(easel)
        alone.outcome.cancel()
        easel.may_draw.set()
        await drawn(queue.put(pictures("d"), ignore))
        assert steps == []

    run(scenario)


def test_a_failed_picture_does_not_fail_the_others_of_its_batch() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        fine, cursed = queue.put(pictures("fine", "cursed"), ignore)
        assert await fine.outcome == "fine"
        with pytest.raises(RuntimeError, match="cursed"):
            await cursed.outcome

    run(scenario)


def test_closing_finishes_the_batch_and_refuses_the_rest() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        easel.may_draw.clear()
        (running,) = queue.put(pictures("a"), ignore)
        await until_drawing(easel)
        (waiting,) = queue.put(pictures("b"), ignore)
        queue.close()
        with pytest.raises(ClosingError):
            await waiting.outcome
        with pytest.raises(ClosingError):
            queue.put(pictures("c"), ignore)
        easel.may_draw.set()
        assert await running.outcome == "a"

    assert run(scenario).batches == [["a"]]
