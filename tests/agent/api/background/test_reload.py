"""A running server replaces its policies at once and all together, and never by broken ones."""

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
TIMEOUT_S = 20


@pytest.fixture
def moderator(tmp_path: Path):
    shutil.copytree(Path(__file__).parents[3] / "small_policies", tmp_path / "policies")
    return open_moderator(
        Settings(
            policies_dir=tmp_path / "policies",
            data_dir=tmp_path,
            database_url=None,
            keyless=True,
            policies_watch_s=0.05,
            llm_url="http://127.0.0.1:9/v1",
        )
    )


@pytest.fixture
def served(moderator, serve):
    yield from serve(create_app(moderator))


def arabic(moderator) -> Path:
    return moderator.settings.policies_dir / "ar-SA.yaml"


def relax(moderator) -> None:
    """Removes the rule on alcohol."""
    path = arabic(moderator)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("rules:")] + "rules: []\n", encoding="utf-8")


def action(url: str) -> str:
    answer = httpx.post(f"{url}/v1/moderations", json={"input": WINE, "locale": "ar-SA"}, trust_env=False)
    return answer.json()["results"][0]["decision"]["action"]


def wait_until(condition) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ready(url: str) -> dict:
    return httpx.get(f"{url}/readyz", trust_env=False).json()


def test_a_changed_file_takes_effect_without_a_restart(moderator, served):
    assert action(served) == "rewrite"
    relax(moderator)
    wait_until(lambda: action(served) == "allow")


def test_a_broken_file_keeps_the_previous_policies_and_is_reported_until_it_is_fixed(
    moderator, served, caplog, admin_headers
):
    good = arabic(moderator).read_text(encoding="utf-8")
    arabic(moderator).write_text(good.replace("severity: medium", "severity: mild"), encoding="utf-8")
    wait_until(lambda: ready(served)["parts"]["policies"].startswith("degraded: "))
    assert ready(served)["status"] == "degraded"
    assert str(moderator.settings.policies_dir) not in str(ready(served))
    assert "a file is wrong" in caplog.text
    assert f"{arabic(moderator)}:" in caplog.text
    assert REGISTRY.get_sample_value("propriety_policies_broken") == 1
    assert action(served) == "rewrite"
    operator = admin_headers(moderator.settings.decision_log_url)
    answer = httpx.post(f"{served}/v1/policies/reload", headers=operator, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "policy_broken")
    assert "ar-SA.yaml:" in answer.json()["error"]["message"]
    arabic(moderator).write_text(good, encoding="utf-8")
    wait_until(lambda: ready(served)["parts"]["policies"] == "ok")
    assert REGISTRY.get_sample_value("propriety_policies_broken") == 0
    assert action(served) == "rewrite"


def test_a_file_with_a_wrong_ending_is_reported_while_the_api_runs(moderator, served):
    wrong = moderator.settings.policies_dir / "fr-FR.yml"
    wrong.write_text("locale: fr-FR\n", encoding="utf-8")
    wait_until(lambda: ready(served)["parts"]["policies"].startswith("degraded: "))


def test_only_the_operator_can_reload_and_the_response_comes_after_the_reload(moderator, serve):
    moderator.settings = moderator.settings.model_copy(update={"policies_watch_s": 3600.0})
    app = create_app(moderator)
    admin, user = (
        app.state.service.store.tenants.create(name, Terms(scopes=scopes))
        for name, scopes in (("operator", [Scope.ADMIN, Scope.MODERATE]), ("acme", [Scope.MODERATE, Scope.DRAW]))
    )
    relax(moderator)
    for url in serve(app):

        def reload(key, url=url):
            header = {"Authorization": f"Bearer {key}"}
            return httpx.post(f"{url}/v1/policies/reload", headers=header, trust_env=False)

        assert reload(user).status_code == 403
        assert "alcohol" in moderator.policies["ar-SA"].rules_by_id
        assert reload(admin).json() == {"object": "policies.reloaded", "policies": 2}
        assert "alcohol" not in moderator.policies["ar-SA"].rules_by_id


def test_sighup_reloads_the_policies(moderator):
    moderator.settings = moderator.settings.model_copy(update={"policies_watch_s": 3600.0})
    app = create_app(moderator)
    relax(moderator)

    async def hang_up() -> None:
        async with app.router.lifespan_context(app):
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(TIMEOUT_S):
                while "alcohol" in moderator.policies["ar-SA"].rules_by_id:
                    await asyncio.sleep(0.01)

    asyncio.run(hang_up())


@pytest.mark.slow
def test_each_verdict_follows_either_the_old_or_the_new_policies(moderator):
    strict = moderator.policies["ar-SA"].hash
    good = arabic(moderator).read_text(encoding="utf-8")

    async def moderate_while_they_change() -> set[tuple[bool, str]]:
        seen, changed = set(), asyncio.Event()

        async def moderate() -> None:
            while not changed.is_set():
                verdict = await moderator.moderate([ChatMessage(role="user", content=WINE)], "ar-SA")
                seen.add((verdict.policy.hash == strict, verdict.action.value))

        async def change() -> None:
            for number in range(10):
                relax(moderator) if number % 2 == 0 else arabic(moderator).write_text(good, encoding="utf-8")
                await asyncio.to_thread(moderator.policies.reload)
                await asyncio.sleep(0.2)
            changed.set()

        await asyncio.gather(moderate(), moderate(), change())
        return seen

    assert asyncio.run(moderate_while_they_change()) == {(True, "rewrite"), (False, "allow")}


def test_a_half_written_file_changes_no_policy(moderator):
    before = dict(moderator.policies)
    for spoil in (lambda path: path.write_bytes(path.read_bytes()[:90]), lambda path: path.write_bytes(b"\xff")):
        spoil(arabic(moderator))
        with pytest.raises(PolicyError):
            moderator.policies.reload()
        assert dict(moderator.policies) == before
