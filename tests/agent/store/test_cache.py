"""A request that was judged before is answered from the cache: in memory, and in a real Redis."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from agent.moderator import Moderator
from agent.open_moderator import open_moderator
from agent.settings import Settings
from agent.store.cache import cache_key
from agent.store.tenants import ANYONE, Scope, Tenant, Terms
from propriety.verdict import ChatMessage, Detector, Status, Verdict

POLICIES = Path(__file__).parents[2] / "small_policies"
WINE, TREE = "a woman holding a wine glass", "a tree on a hill"


def small_moderator(data: Path, **settings: Any) -> Moderator:
    defaults = {"policies_dir": POLICIES, "data_dir": data, "database_url": None, "llm_url": "http://127.0.0.1:9/v1"}
    return open_moderator(Settings(**{**defaults, **settings}))


def moderate(
    moderator: Moderator, *requests: tuple[str, str], detector: Detector | None = None, tenant: Tenant = ANYONE
) -> list[Verdict]:
    async def each() -> list[Verdict]:
        messages = [([ChatMessage(role="user", content=prompt)], locale) for prompt, locale in requests]
        return [await moderator.moderate(message, locale, detector, tenant) for message, locale in messages]

    return asyncio.run(each())


def cached(verdict: Verdict) -> bool:
    return "cache" in verdict.timings_ms


def hits(result: str) -> float:
    return REGISTRY.get_sample_value("propriety_cache_requests_total", {"result": result}) or 0.0


def test_the_same_request_is_judged_once_and_each_answer_is_its_own_decision(tmp_path: Path) -> None:
    moderator, before = small_moderator(tmp_path), hits("hit")
    first, second = moderate(
        moderator, (WINE, "ar-SA"), (WINE, "AR-sa"), tenant=Tenant("acme", Terms(scopes=[Scope.MODERATE]))
    )
    assert [cached(first), cached(second)] == [False, True]
    same = {"id", "timings_ms"}
    assert first.model_dump(exclude=same) == second.model_dump(exclude=same)
    assert first.id != second.id
    assert [moderator.store.decisions.read(verdict.id, "acme") for verdict in (first, second)] == [first, second]
    assert hits("hit") == before + 1


def test_another_locale_prompt_or_detector_misses_the_cache(tmp_path: Path) -> None:
    moderator = small_moderator(tmp_path)
    moderate(moderator, (WINE, "ar-SA"))
    assert not any(map(cached, moderate(moderator, (WINE, "en-US"), (f"{WINE}s", "ar-SA"))))
    assert not cached(moderate(moderator, (WINE, "ar-SA"), detector=Detector.CASCADE)[0])


def test_a_degraded_verdict_is_never_cached(tmp_path: Path) -> None:
    moderator = small_moderator(tmp_path)
    verdicts = moderate(moderator, (WINE, "ar-SA"), (WINE, "ar-SA"), detector=Detector.LLM)
    assert [verdict.status for verdict in verdicts] == [Status.DEGRADED] * 2
    assert not any(map(cached, verdicts))


def test_a_failed_verdict_is_never_cached_even_with_fail_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moderator = small_moderator(tmp_path, fail_open=True)
    before = REGISTRY.get_sample_value("propriety_fail_open_total") or 0

    async def fail(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(moderator, "_decide", fail)
        assert [verdict.status for verdict in moderate(moderator, (WINE, "ar-SA"))] == [Status.ERROR]
    assert REGISTRY.get_sample_value("propriety_fail_open_total") == before + 1
    assert [verdict.status for verdict in moderate(moderator, (WINE, "ar-SA"))] == [Status.OK]


def test_the_cache_is_bounded_and_its_entries_expire(tmp_path: Path) -> None:
    small = small_moderator(tmp_path, cache_size=1)
    verdicts = moderate(small, *[(prompt, "ar-SA") for prompt in (WINE, TREE, TREE, WINE)])
    assert [cached(verdict) for verdict in verdicts] == [False, False, True, False]
    short = small_moderator(tmp_path, cache_ttl_s=0.001)
    moderate(short, (WINE, "ar-SA"))
    time.sleep(0.01)
    assert not cached(moderate(short, (WINE, "ar-SA"))[0])
    none = small_moderator(tmp_path, cache_size=0)
    assert not any(map(cached, moderate(none, (WINE, "ar-SA"), (WINE, "ar-SA"))))


def test_a_reload_invalidates_only_what_changed(tmp_path: Path) -> None:
    shutil.copytree(POLICIES, tmp_path / "policies")
    moderator = small_moderator(tmp_path, policies_dir=tmp_path / "policies")
    moderate(moderator, (WINE, "ar-SA"), (WINE, "en-US"))
    arabic = tmp_path / "policies" / "ar-SA.yaml"
    arabic.write_text(arabic.read_text(encoding="utf-8").replace("Alcoholic drinks.", "Drinks."), encoding="utf-8")
    moderator.policies.reload()
    assert [cached(verdict) for verdict in moderate(moderator, (WINE, "ar-SA"), (WINE, "en-US"))] == [False, True]
    concepts = tmp_path / "policies" / "concepts" / "shared.yaml"
    concepts.write_text(concepts.read_text(encoding="utf-8").replace("a tree on a hill", "a tree"), encoding="utf-8")
    moderator.policies.reload()
    assert not any(map(cached, moderate(moderator, (WINE, "ar-SA"), (WINE, "en-US"))))


def test_no_two_requests_share_a_cache_key() -> None:
    assert len({cache_key("a", "b"), cache_key("ab", ""), cache_key("a\0b"), cache_key("a", "b", ""), cache_key()}) == 5


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """The URL of a real Redis on its own socket."""
    if not (program := shutil.which("redis-server")):
        pytest.skip("no Redis: `apt-get install redis-server` provides it")
    socket = tmp_path / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        while not socket.exists():
            assert server.poll() is None
            time.sleep(0.01)
        yield f"unix://{socket}"
        server.terminate()


@pytest.mark.slow
def test_processes_share_a_redis_and_work_without_it(
    tmp_path: Path, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = (small_moderator(tmp_path / name, redis_url=redis_url) for name in "ab")

    async def both() -> list[Verdict]:
        message = [ChatMessage(role="user", content=WINE)]
        verdicts = [await moderator.moderate(message, "ar-SA") for moderator in (one, other)]
        for moderator in (one, other):
            await moderator._cache._redis.aclose()  # type: ignore[attr-defined]
        return verdicts

    first, second = asyncio.run(both())
    assert [cached(first), cached(second)] == [False, True]
    assert second.safe_prompt == first.safe_prompt
    gone = small_moderator(tmp_path / "c", redis_url="unix:///nowhere/redis.sock")
    assert [cached(verdict) for verdict in moderate(gone, (WINE, "ar-SA"), (WINE, "ar-SA"))] == [False, False]
    assert "cannot be read" in caplog.text
