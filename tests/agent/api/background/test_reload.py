"""Policies are exchanged under a running server: at once, whole, and never for broken ones."""

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY

from agent.api.app import create_app
from agent.open_moderator import open_moderator
from agent.policy.source import PolicyError
from agent.settings import Settings
from agent.store.tenants import Scope, Terms
from propriety.verdict import ChatMessage

WINE = "a woman holding a wine glass"
SOON_S = 20


@pytest.fixture
def judge(tmp_path: Path):
    shutil.copytree(Path(__file__).parents[3] / "small_policies", tmp_path / "policies")
    return open_moderator(
        Settings(
            policies_dir=tmp_path / "policies",
            data_dir=tmp_path,
            database_url=None,
            policies_watch_s=0.05,
            llm_url="http://127.0.0.1:9/v1",
        )
    )


@pytest.fixture
def served(judge, serve):
    yield from serve(create_app(judge))


def arabic(judge) -> Path:
    return judge.settings.policies_dir / "ar-SA.yaml"


def relax(judge) -> None:
    """Without its rule on alcohol."""
    path = arabic(judge)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("rules:")] + "rules: []\n", encoding="utf-8")


def action(url: str) -> str:
    answer = httpx.post(f"{url}/v1/moderations", json={"input": WINE, "locale": "ar-SA"}, trust_env=False)
    return answer.json()["results"][0]["decision"]["action"]


def until(condition) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ready(url: str) -> dict:
    return httpx.get(f"{url}/readyz", trust_env=False).json()


def test_a_changed_file_takes_effect_without_a_restart(judge, served):
    assert action(served) == "rewrite"
    relax(judge)
    until(lambda: action(served) == "allow")


def test_a_broken_file_keeps_the_previous_policies_and_is_reported_until_it_is_fixed(judge, served, caplog):
    good = arabic(judge).read_text(encoding="utf-8")
    arabic(judge).write_text(good.replace("severity: medium", "severity: mild"), encoding="utf-8")
    until(lambda: ready(served)["parts"]["policies"].startswith("degraded: "))
    assert ready(served)["status"] == "degraded"
    assert str(judge.settings.policies_dir) not in str(ready(served))
    assert "a file is wrong" in caplog.text
    assert f"{arabic(judge)}:" in caplog.text
    assert REGISTRY.get_sample_value("propriety_policies_broken") == 1
    assert action(served) == "rewrite"
    answer = httpx.post(f"{served}/v1/policies/reload", trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "policy_broken")
    assert "ar-SA.yaml:" in answer.json()["error"]["message"]
    arabic(judge).write_text(good, encoding="utf-8")
    until(lambda: ready(served)["parts"]["policies"] == "ok")
    assert REGISTRY.get_sample_value("propriety_policies_broken") == 0
    assert action(served) == "rewrite"


def test_only_the_operator_can_reload_and_the_response_comes_after_the_reload(judge, serve):
    judge.settings = judge.settings.model_copy(update={"policies_watch_s": 3600.0})
    app = create_app(judge)
    admin, user = (
        app.state.service.store.tenants.create(name, Terms(scopes=scopes))
        for name, scopes in (("operator", [Scope.ADMIN, Scope.MODERATE]), ("acme", [Scope.MODERATE, Scope.DRAW]))
    )
    relax(judge)
    for url in serve(app):

        def reload(key, url=url):
            header = {"Authorization": f"Bearer {key}"}
            return httpx.post(f"{url}/v1/policies/reload", headers=header, trust_env=False)

        assert reload(user).status_code == 403
        assert "alcohol" in judge.policies["ar-SA"].rules_by_id
        assert reload(admin).json() == {"object": "policies.reloaded", "policies": 2}
        assert "alcohol" not in judge.policies["ar-SA"].rules_by_id


def test_sighup_reloads_the_policies(judge):
    judge.settings = judge.settings.model_copy(update={"policies_watch_s": 3600.0})
    app = create_app(judge)
    relax(judge)

    async def hang_up() -> None:
        async with app.router.lifespan_context(app):
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(SOON_S):
                while "alcohol" in judge.policies["ar-SA"].rules_by_id:
                    await asyncio.sleep(0.01)

    asyncio.run(hang_up())


def test_each_verdict_follows_either_the_old_or_the_new_policies(judge):
    strict = judge.policies["ar-SA"].hash
    good = arabic(judge).read_text(encoding="utf-8")

    async def ask_while_they_change() -> set[tuple[bool, str]]:
        seen, changed = set(), asyncio.Event()

        async def ask() -> None:
            while not changed.is_set():
                verdict = await judge.moderate([ChatMessage(role="user", content=WINE)], "ar-SA")
                seen.add((verdict.policy.hash == strict, verdict.action.value))

        async def change() -> None:
            for number in range(10):
                relax(judge) if number % 2 == 0 else arabic(judge).write_text(good, encoding="utf-8")
                await asyncio.to_thread(judge.policies.reload)
                await asyncio.sleep(0.2)
            changed.set()

        await asyncio.gather(ask(), ask(), change())
        return seen

    assert asyncio.run(ask_while_they_change()) == {(True, "rewrite"), (False, "allow")}


def test_a_half_written_file_changes_no_policy(judge):
    before = dict(judge.policies)
    for spoil in (lambda path: path.write_bytes(path.read_bytes()[:90]), lambda path: path.write_bytes(b"\xff")):
        spoil(arabic(judge))
        with pytest.raises(PolicyError):
            judge.policies.reload()
        assert dict(judge.policies) == before
