"""The queue in front of a drawing function that is held up or fails as a test needs it; no model is loaded."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from generator.queue import ClosingError, Queue, QueueFullError


class Easel:
    """Draws a picture as its own name, when let; remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.started, self.may_go_on = threading.Event(), threading.Event()
        self.may_go_on.set()

    def draw(self, batch: list[Any], on_step: Callable[[int], None]) -> list[Any]:
        self.batches.append([one.name for one in batch])
        self.started.set()
        assert self.may_go_on.wait(10)
        on_step(1)
        if any(one.name == "cursed" for one in batch):
            raise RuntimeError("the picture is cursed")
        return [one.name for one in batch]


def pictures(*names: str, kind: str = "square") -> list[Any]:
    return [SimpleNamespace(name=name, kind=kind) for name in names]


def silent(index: int, step: int) -> None: ...


def served(
    scenario: Callable[[Queue, Easel], Coroutine[Any, Any, None]], *, limit: int = 64, wait_s: float = 0.05
) -> Easel:
    """Runs a scenario beside the queue."""
    easel = Easel()

    async def both() -> None:
        with ThreadPoolExecutor(1) as thread:
            queue = Queue(easel.draw, thread, limit, wait_s)
            running = asyncio.create_task(queue.run())
            try:
                await asyncio.wait_for(scenario(queue, easel), 10)
            finally:
                easel.may_go_on.set()
                running.cancel()

    asyncio.run(both())
    return easel


async def drawn(tickets: list[Any]) -> list[Any]:
    return list(await asyncio.gather(*(ticket.outcome for ticket in tickets)))


async def held(easel: Easel) -> None:
    """Until the easel draws, where it is then held up."""
    await asyncio.to_thread(easel.started.wait, 10)


def test_pictures_of_one_kind_are_drawn_together_whoever_asked() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        one = queue.put(pictures("a", "b"), silent)
        other = queue.put(pictures("c", kind="wide"), silent)
        third = queue.put(pictures("d"), silent)
        assert await drawn(one + other + third) == ["a", "b", "c", "d"]

    assert served(scenario).batches == [["a", "b", "d"], ["c"]]


def test_a_full_batch_does_not_wait_and_an_older_kind_goes_first() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        tickets = queue.put(pictures(*"abcdefghi"), silent)
        await asyncio.wait_for(drawn(tickets[:8]), 5)
        assert not tickets[8].outcome.done()

    assert served(scenario, wait_s=3600).batches == [list("abcdefgh")]


def test_no_picture_waits_for_company_longer_than_the_bound() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        began = asyncio.get_running_loop().time()
        await drawn(queue.put(pictures("a"), silent))
        assert asyncio.get_running_loop().time() - began >= 0.2

    served(scenario, wait_s=0.2)


def test_beyond_the_limit_all_pictures_of_a_call_are_refused_with_a_time() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        queue.put(pictures("a", "b"), silent)
        with pytest.raises(QueueFullError, match="2 pictures wait already") as full:
            queue.put(pictures("c", "d"), silent)
        assert full.value.retry_after_s >= 1
        await drawn(queue.put(pictures("e"), silent))

    assert served(scenario, limit=3).batches == [["a", "b", "e"]]


def test_who_leaves_while_waiting_is_not_drawn_and_makes_room() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        (gone,) = queue.put(pictures("a"), silent)
        gone.outcome.cancel()
        await drawn(queue.put(pictures("b"), silent))

    assert served(scenario, limit=1).batches == [["b"]]


def test_a_batch_that_all_have_left_is_stopped_and_one_that_some_have_left_is_not() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        easel.may_go_on.clear()
        told: list[tuple[int, int]] = []
        left, stayed = queue.put(pictures("a", "b"), lambda *step: told.append(step))
        await held(easel)
        left.outcome.cancel()
        easel.may_go_on.set()
        assert await stayed.outcome == "b"
        assert (1, 1) in told

        easel.may_go_on.clear()
        easel.started.clear()
        told.clear()
        (alone,) = queue.put(pictures("c"), lambda *step: told.append(step))
        await held(easel)
        alone.outcome.cancel()
        easel.may_go_on.set()
        await drawn(queue.put(pictures("d"), silent))
        assert told == []

    served(scenario)


def test_one_picture_that_fails_does_not_take_its_company_with_it() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        fine, cursed = queue.put(pictures("fine", "cursed"), silent)
        assert await fine.outcome == "fine"
        with pytest.raises(RuntimeError, match="cursed"):
            await cursed.outcome

    served(scenario)


def test_closing_finishes_what_is_drawn_and_refuses_the_rest() -> None:
    async def scenario(queue: Queue, easel: Easel) -> None:
        easel.may_go_on.clear()
        (running,) = queue.put(pictures("a"), silent)
        await held(easel)
        (waiting,) = queue.put(pictures("b"), silent)
        queue.close()
        with pytest.raises(ClosingError):
            await waiting.outcome
        with pytest.raises(ClosingError):
            queue.put(pictures("c"), silent)
        easel.may_go_on.set()
        assert await running.outcome == "a"

    assert served(scenario).batches == [["a"]]
