"""What was judged once is answered again without judging: in memory, and in a real Redis."""

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


def moderator(data: Path, **settings: Any) -> Moderator:
    own = {"policies_dir": POLICIES, "data_dir": data, "database_url": None, "llm_url": "http://127.0.0.1:9/v1"}
    return open_moderator(Settings(**{**own, **settings}))


def ask(
    judge: Moderator, *asked: tuple[str, str], detector: Detector | None = None, tenant: Tenant = ANYONE
) -> list[Verdict]:
    async def each() -> list[Verdict]:
        messages = [([ChatMessage(role="user", content=prompt)], locale) for prompt, locale in asked]
        return [await judge.moderate(message, locale, detector, tenant) for message, locale in messages]

    return asyncio.run(each())


def kept(verdict: Verdict) -> bool:
    return "cache" in verdict.timings_ms


def hits(result: str) -> float:
    return REGISTRY.get_sample_value("propriety_cache_requests_total", {"result": result}) or 0.0


def test_the_same_request_is_judged_once_and_each_answer_is_its_own_decision(tmp_path: Path) -> None:
    judge, before = moderator(tmp_path), hits("hit")
    first, second = ask(judge, (WINE, "ar-SA"), (WINE, "AR-sa"), tenant=Tenant("acme", Terms(scopes=[Scope.MODERATE])))
    assert [kept(first), kept(second)] == [False, True]
    same = {"id", "timings_ms"}
    assert first.model_dump(exclude=same) == second.model_dump(exclude=same)
    assert first.id != second.id
    assert [judge.store.decisions.read(verdict.id, "acme") for verdict in (first, second)] == [first, second]
    assert hits("hit") == before + 1


def test_another_locale_prompt_or_detector_misses_the_cache(tmp_path: Path) -> None:
    judge = moderator(tmp_path)
    ask(judge, (WINE, "ar-SA"))
    assert not any(map(kept, ask(judge, (WINE, "en-US"), (f"{WINE}s", "ar-SA"))))
    assert not kept(ask(judge, (WINE, "ar-SA"), detector=Detector.CASCADE)[0])


def test_a_degraded_verdict_is_never_cached(tmp_path: Path) -> None:
    judge = moderator(tmp_path)
    verdicts = ask(judge, (WINE, "ar-SA"), (WINE, "ar-SA"), detector=Detector.LLM)
    assert [verdict.status for verdict in verdicts] == [Status.DEGRADED] * 2
    assert not any(map(kept, verdicts))


def test_a_failed_verdict_is_never_cached_even_with_fail_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, before = moderator(tmp_path, fail_open=True), REGISTRY.get_sample_value("propriety_fail_open_total") or 0

    async def fail(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(judge, "_decide", fail)
        assert [verdict.status for verdict in ask(judge, (WINE, "ar-SA"))] == [Status.ERROR]
    assert REGISTRY.get_sample_value("propriety_fail_open_total") == before + 1
    assert [verdict.status for verdict in ask(judge, (WINE, "ar-SA"))] == [Status.OK]


def test_the_cache_is_bounded_and_its_entries_expire(tmp_path: Path) -> None:
    small = moderator(tmp_path, cache_size=1)
    assert [kept(verdict) for verdict in ask(small, *[(prompt, "ar-SA") for prompt in (WINE, TREE, TREE, WINE)])] == [
        False, False, True, False,
    ]  # fmt: skip
    short = moderator(tmp_path, cache_ttl_s=0.001)
    ask(short, (WINE, "ar-SA"))
    time.sleep(0.01)
    assert not kept(ask(short, (WINE, "ar-SA"))[0])
    none = moderator(tmp_path, cache_size=0)
    assert not any(map(kept, ask(none, (WINE, "ar-SA"), (WINE, "ar-SA"))))


def test_a_reload_invalidates_only_what_changed(tmp_path: Path) -> None:
    shutil.copytree(POLICIES, tmp_path / "policies")
    judge = moderator(tmp_path, policies_dir=tmp_path / "policies")
    ask(judge, (WINE, "ar-SA"), (WINE, "en-US"))
    arabic = tmp_path / "policies" / "ar-SA.yaml"
    arabic.write_text(arabic.read_text(encoding="utf-8").replace("Alcoholic drinks.", "Drinks."), encoding="utf-8")
    judge.policies.reload()
    assert [kept(verdict) for verdict in ask(judge, (WINE, "ar-SA"), (WINE, "en-US"))] == [False, True]
    concepts = tmp_path / "policies" / "concepts" / "shared.yaml"
    concepts.write_text(concepts.read_text(encoding="utf-8").replace("a tree on a hill", "a tree"), encoding="utf-8")
    judge.policies.reload()
    assert not any(map(kept, ask(judge, (WINE, "ar-SA"), (WINE, "en-US"))))


def test_no_two_requests_share_a_cache_key() -> None:
    assert len({cache_key("a", "b"), cache_key("ab", ""), cache_key("a\0b"), cache_key("a", "b", ""), cache_key()}) == 5


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A real Redis on a socket of its own."""
    if not (program := shutil.which("redis-server")):
        pytest.skip("no Redis: `apt-get install redis-server` brings it")
    socket = tmp_path / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        while not socket.exists():
            assert server.poll() is None
            time.sleep(0.01)
        yield f"unix://{socket}"
        server.terminate()


def test_processes_share_a_redis_and_work_without_it(
    tmp_path: Path, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = (moderator(tmp_path / name, redis_url=redis_url) for name in "ab")

    async def both() -> list[Verdict]:
        message = [ChatMessage(role="user", content=WINE)]
        verdicts = [await judge.moderate(message, "ar-SA") for judge in (one, other)]
        for judge in (one, other):
            await judge._cache._redis.aclose()  # type: ignore[attr-defined]
        return verdicts

    first, second = asyncio.run(both())
    assert [kept(first), kept(second)] == [False, True]
    assert second.safe_prompt == first.safe_prompt
    gone = moderator(tmp_path / "c", redis_url="unix:///nowhere/redis.sock")
    assert [kept(verdict) for verdict in ask(gone, (WINE, "ar-SA"), (WINE, "ar-SA"))] == [False, False]
    assert "cannot be read" in caplog.text
