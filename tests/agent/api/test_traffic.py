import asyncio

import pytest

from agent.api import traffic as module
from agent.api.traffic import Traffic


@pytest.mark.parametrize(("max_wait_s", "begins"), [(3600, False), (0.01, True)])
def test_a_batch_prompt_waits_for_live_prompts_but_not_forever(monkeypatch, max_wait_s, begins):
    monkeypatch.setattr(module, "MAX_WAIT_FOR_LIVE_S", max_wait_s)

    async def begun_while_live() -> bool:
        traffic, begun = Traffic(1), asyncio.Event()

        async def batch():
            async with traffic.spare():
                begun.set()

        async with traffic.live():
            async with traffic.live():
                task = asyncio.create_task(batch())
            await asyncio.sleep(0.1)
            seen = begun.is_set()
        await asyncio.wait_for(task, 10)
        return seen

    assert asyncio.run(begun_while_live()) is begins
