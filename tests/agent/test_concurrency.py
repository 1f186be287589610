"""Work runs concurrently, up to a bound."""

import asyncio
import time

import pytest

from agent.concurrency import IN_FLIGHT, in_encoder_thread, map_in_order, together, work_through, working_for


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


def test_one_tenant_s_thousand_texts_delay_another_s_by_one_turn():
    finished: list[str] = []

    def encode(tenant: str) -> None:
        time.sleep(0.002)
        finished.append(tenant)

    async def ask(tenant: str) -> None:
        working_for.set(tenant)
        await in_encoder_thread(encode, tenant)

    async def crowd() -> None:
        many = [asyncio.create_task(ask("many")) for _ in range(1000)]
        await asyncio.sleep(0.01)
        await asyncio.gather(*(asyncio.create_task(ask(tenant)) for tenant in ("one", "two")))
        few = len(finished)
        await asyncio.gather(*many)
        assert few < 500

    asyncio.run(crowd())
    assert len(finished) == 1002


def test_an_encoder_thread_s_error_and_context_are_the_caller_s():
    async def ask() -> None:
        working_for.set("acme")
        assert await in_encoder_thread(working_for.get) == "acme"
        with pytest.raises(ZeroDivisionError):
            await in_encoder_thread(lambda: 1 / 0)

    asyncio.run(ask())


def test_a_caller_that_leaves_takes_its_turn_from_nobody():
    async def ask() -> list[int]:
        left = [asyncio.create_task(in_encoder_thread(time.sleep, 0.01)) for _ in range(50)]
        await asyncio.sleep(0)
        for task in left:
            task.cancel()
        return [await in_encoder_thread(abs, number) for number in (-1, -2)]

    assert asyncio.run(ask()) == [1, 2]
