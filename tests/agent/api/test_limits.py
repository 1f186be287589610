import asyncio

import pytest

from agent.api import limits as module
from agent.api.errors import ApiError
from agent.api.limits import Limits, Traffic
from agent.store.tenants import ANYONE, Scope, Tenant, Terms


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def limits(clock):
    return Limits(lambda: clock[0])


def tenant(name="acme", **terms):
    return Tenant(name, Terms(scopes=[Scope.MODERATE], **terms))


def test_a_burst_passes_and_then_one_each_time_that_the_bucket_has_a_token_again(limits, clock):
    acme = tenant(per_minute=6)
    for _ in range(6):
        limits.enter(acme)
        limits.leave(acme)
    with pytest.raises(ApiError) as refused:
        limits.enter(acme)
    assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "10"})
    clock[0] += 10
    limits.enter(acme)
    with pytest.raises(ApiError):
        limits.enter(acme)


def test_what_a_long_list_takes_beyond_the_limit_is_waited_for(limits, clock):
    acme = tenant(per_minute=60)
    limits.enter(acme)
    limits.charge(acme, 255)
    with pytest.raises(ApiError, match="after 197 s"):
        limits.enter(acme)
    clock[0] += 197
    limits.enter(acme)


def test_an_idle_hour_saves_no_more_than_a_minute_s(limits, clock):
    acme = tenant(per_minute=2)
    clock[0] += 3600
    limits.enter(acme)
    limits.enter(acme)
    with pytest.raises(ApiError):
        limits.enter(acme)


def test_no_more_than_so_many_run_at_once(limits):
    acme = tenant(concurrent=2)
    limits.enter(acme)
    limits.enter(acme)
    with pytest.raises(ApiError, match="at once"):
        limits.enter(acme)
    limits.leave(acme)
    limits.enter(acme)


def test_one_tenant_s_limits_are_not_another_s_and_some_have_none(limits):
    limits.enter(tenant(per_minute=1))
    limits.enter(tenant("apex", per_minute=1))
    for _ in range(1000):
        limits.enter(ANYONE)


@pytest.mark.parametrize(("patience_s", "begins"), [(3600, False), (0.01, True)])
def test_a_batch_s_prompt_waits_for_live_ones_but_not_for_ever(monkeypatch, patience_s, begins):
    monkeypatch.setattr(module, "PATIENCE_S", patience_s)

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
