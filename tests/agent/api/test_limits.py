"""Limits on a clock that the test controls, in memory and in a real Redis."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from limits.aio.storage import MemoryStorage

from agent.api.errors import ApiError
from agent.api.limits import Limits, open_limits
from agent.settings import Settings
from agent.store.tenants import ANYONE, Scope, Tenant, Terms


class Clock:
    """The wall clock and the monotonic clock; the storage reads them too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.steady = 1_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic", lambda: self.steady)

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def run() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits(MemoryStorage(), lambda: clock.wall)


def tenant(name: str = "acme", **terms: object) -> Tenant:
    return Tenant(name, Terms(scopes=[Scope.MODERATE], **terms))


def test_a_request_over_the_limit_is_429_until_the_oldest_is_a_minute_old(limits, clock, run):
    acme = tenant(per_minute=6)
    for _ in range(6):
        run.run(limits.enter(acme))
        limits.leave(acme)
        clock.advance(1)
    with pytest.raises(ApiError) as refused:
        run.run(limits.enter(acme))
    assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "54"})
    clock.advance(54.1)
    run.run(limits.enter(acme))
    with pytest.raises(ApiError):
        run.run(limits.enter(acme))


def test_no_moving_minute_has_more_than_the_limit(limits, clock, run):
    acme, admitted = tenant(per_minute=10, concurrent=None), []
    for _ in range(600):
        clock.advance(0.5)
        try:
            run.run(limits.enter(acme))
        except ApiError:
            continue
        admitted.append(clock.wall)
    highest = max(sum(start <= moment < start + 60 for moment in admitted) for start in admitted)
    assert highest == 10
    assert len(admitted) >= 50


def test_a_list_counts_in_full_and_a_refused_list_does_not_count(limits, clock, run):
    acme = tenant(per_minute=60)
    run.run(limits.enter(acme))
    run.run(limits.charge(acme, 49))
    with pytest.raises(ApiError, match="a minute") as refused:
        run.run(limits.charge(acme, 11))
    assert refused.value.status_code == 429
    run.run(limits.charge(acme, 10))
    with pytest.raises(ApiError):
        run.run(limits.charge(acme, 1))


def test_a_list_longer_than_the_limit_is_400_because_waiting_would_not_help(limits, run):
    with pytest.raises(ApiError, match="limit is 60 a minute") as refused:
        run.run(limits.charge(tenant(per_minute=60), 255))
    assert (refused.value.status_code, refused.value.code) == (400, "request_over_limit")


def test_concurrent_requests_are_bounded_and_a_refused_one_takes_no_slot(limits, run):
    acme = tenant(concurrent=2, per_minute=3)
    for _ in range(2):
        run.run(limits.enter(acme))
    with pytest.raises(ApiError, match="running"):
        run.run(limits.enter(acme))
    limits.leave(acme)
    run.run(limits.enter(acme))
    limits.leave(acme)
    with pytest.raises(ApiError, match="a minute"):
        run.run(limits.enter(acme))
    with pytest.raises(ApiError, match="a minute"):
        run.run(limits.enter(acme))


def test_tenants_are_counted_separately_and_some_have_no_limits(limits, run):
    run.run(limits.enter(tenant(per_minute=1)))
    run.run(limits.enter(tenant("apex", per_minute=1)))
    for _ in range(1000):
        run.run(limits.enter(ANYONE))


@pytest.mark.parametrize("jump_s", [86_400, -86_400])
def test_a_clock_that_jumps_by_a_day_starts_a_new_minute(limits, clock, run, jump_s):
    acme = tenant(per_minute=2, concurrent=None)
    for _ in range(2):
        run.run(limits.enter(acme))
    clock.wall += jump_s
    for _ in range(2):
        run.run(limits.enter(acme))
    with pytest.raises(ApiError) as refused:
        run.run(limits.enter(acme))
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
    clock.advance(60.1)
    run.run(limits.enter(acme))


@pytest.fixture
def redis_url(tmp_path: Path, free_port) -> Iterator[str]:
    if not (program := shutil.which("redis-server")):
        pytest.skip("no Redis: `apt-get install redis-server` provides it")
    port = free_port()
    server = subprocess.Popen([program, "--port", str(port), "--save", "", "--dir", str(tmp_path)], stdout=-3)
    time.sleep(0.5)
    yield f"redis://127.0.0.1:{port}/0"
    server.kill()
    server.wait()


@pytest.mark.slow
def test_replicas_that_share_a_redis_count_together(redis_url, run):
    one, other = (open_limits(Settings(redis_url=redis_url)) for _ in range(2))
    acme = tenant(per_minute=4, concurrent=None)
    for limits in (one, other, one, other):
        run.run(limits.enter(acme))
    for limits in (one, other):
        with pytest.raises(ApiError, match="a minute"):
            run.run(limits.enter(acme))
        run.run(limits.close())


def test_without_redis_each_process_counts_alone_and_the_log_says_so(free_port, run, caplog):
    limits = open_limits(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    acme = tenant(per_minute=1)
    run.run(limits.enter(acme))
    with pytest.raises(ApiError):
        run.run(limits.enter(acme))
    assert "Redis does not count" in caplog.text
    run.run(limits.close())
