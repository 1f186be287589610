"""Work runs concurrently, up to a bound."""

import asyncio

import pytest

from agent.concurrency import IN_FLIGHT, map_in_order, together, work_through


def test_every_item_is_processed_with_bounded_concurrency():
    running, highest, worked, counted = 0, 0, [], []

    async def work(item: int) -> None:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0)
        running -= 1
        worked.append(item)

    asyncio.run(work_through(range(100), work, lambda: counted.append(1)))
    assert sorted(worked) == list(range(100))
    assert highest == IN_FLIGHT
    assert len(counted) == 100


def test_a_failure_stops_the_work():
    async def work(item: int) -> None:
        if item == 3:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        asyncio.run(work_through(iter(range(100)), work))


def test_results_are_in_the_order_of_the_items():
    async def work(item: int) -> int:
        await asyncio.sleep(0 if item % 2 else 0.001)
        return -item

    assert asyncio.run(map_in_order(range(50), work)) == [-item for item in range(50)]


def test_together_returns_results_in_order():
    async def work(item: int) -> int:
        await asyncio.sleep(0.01 * (3 - item))
        return item

    assert asyncio.run(together(work(item) for item in range(3))) == [0, 1, 2]


def test_the_first_failure_cancels_the_rest_and_is_raised_as_it_is():
    cancelled = []

    async def work(item: int) -> None:
        if item == 1:
            raise OSError("disk full")
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    with pytest.raises(OSError, match="disk full"):
        asyncio.run(together(work(item) for item in range(3)))
    assert sorted(cancelled) == [0, 2]
