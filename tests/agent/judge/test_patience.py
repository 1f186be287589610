"""As many questions at once as are answered in time; the others wait for their turn."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent.judge.patience import FIRST_LIMIT, Patience, Slots, patience, working

SLOW_S = 0.05


async def ask_all(slots: Slots, count: int, answer: Callable[[int], Awaitable[object]]) -> int:
    """Ask so many questions together; returns how many were asked at once at most."""
    running = most = 0

    async def ask(number: int) -> None:
        nonlocal running, most
        async with slots.slot():
            running += 1
            most = max(most, running)
            try:
                await answer(number)
            finally:
                running -= 1

    await asyncio.gather(*map(ask, range(count)), return_exceptions=True)
    return most


def test_more_are_asked_after_quick_answers_and_fewer_after_slow_ones() -> None:
    async def run() -> None:
        slots = Slots(SLOW_S)
        assert await ask_all(slots, 1000, lambda _: asyncio.sleep(0)) > FIRST_LIMIT
        for _ in range(8):
            await ask_all(slots, 2, lambda _: asyncio.sleep(SLOW_S * 1.2))
        assert await ask_all(slots, 5, lambda _: asyncio.sleep(0.001)) <= 2

    asyncio.run(run())


def test_questions_that_fail_at_once_do_not_raise_the_limit() -> None:
    async def fail(_: int) -> None:
        raise ConnectionError

    async def run() -> None:
        slots = Slots(SLOW_S)
        await ask_all(slots, 1000, fail)
        assert await ask_all(slots, 20, lambda _: asyncio.sleep(SLOW_S / 10)) <= FIRST_LIMIT + 1

    asyncio.run(run())


def test_questions_are_asked_in_the_order_in_which_they_came() -> None:
    async def run() -> None:
        asked: list[int] = []

        async def answer(number: int) -> None:
            asked.append(number)
            await asyncio.sleep(0.001)

        await ask_all(Slots(SLOW_S), 60, answer)
        assert asked == sorted(asked)

    asyncio.run(run())


def test_the_expected_wait_grows_with_the_questions_that_wait() -> None:
    async def run() -> None:
        slots = Slots(SLOW_S)
        await ask_all(slots, 50, lambda _: asyncio.sleep(SLOW_S / 4))
        assert slots.wait_s == 0
        waits = []
        for count in (int(FIRST_LIMIT) * 2, int(FIRST_LIMIT) * 10):
            asked = asyncio.create_task(ask_all(slots, count, lambda _: asyncio.sleep(SLOW_S / 4)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waits.append(slots.wait_s)
            await asked
        assert 0 < waits[0] < waits[1] / 4

    asyncio.run(run())


@pytest.mark.parametrize("running", [False, True])
def test_a_caller_that_leaves_gives_its_turn_to_the_next(running: bool) -> None:
    async def run() -> None:
        slots, gate = Slots(SLOW_S), asyncio.Event()

        async def ask() -> None:
            async with slots.slot():
                await gate.wait()

        asked = [asyncio.create_task(ask()) for _ in range(int(FIRST_LIMIT) * 2)]
        await asyncio.sleep(0)
        for task in asked[: int(FIRST_LIMIT)] if running else asked[int(FIRST_LIMIT) :]:
            task.cancel()
        await asyncio.sleep(0)
        gate.set()
        results = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 1)
        assert [result is None for result in results].count(True) == FIRST_LIMIT
        assert slots.wait_s == 0

    asyncio.run(run())


def test_offline_work_stays_offline_within_a_prompt_that_has_started() -> None:
    assert patience() is Patience.NEW
    with working(Patience.STARTED):
        assert patience() is Patience.STARTED
    with working(Patience.OFFLINE), working(Patience.STARTED):
        assert patience() is Patience.OFFLINE
    assert patience() is Patience.NEW
