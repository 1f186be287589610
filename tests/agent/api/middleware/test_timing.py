"""Metrics, request ids, and a log without prompts."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from agent.api.app import create_app
from agent.store.tenants import Scope, Terms

SMALL_POLICIES = Path(__file__).parents[3] / "small_policies"

SECRET = "a zebra with a glass of wine"


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_request_keeps_its_id_or_gets_one_even_if_it_fails(url):
    def moderate(given: str | None, prompt: str = "a tree") -> httpx.Response:
        headers = {"X-Request-ID": given} if given else {}
        return httpx.post(f"{url}/v1/moderations", json={"input": prompt}, headers=headers)

    assert moderate("order-66.a_b").headers["x-request-id"] == "order-66.a_b"
    assert len({moderate(None).headers["x-request-id"] for _ in range(3)}) == 3
    for bad in ("a b", "x" * 129, '"\\n'):
        assert moderate(bad).headers["x-request-id"] != bad
    assert moderate("failing", "crash").headers["x-request-id"] == "failing"
    assert moderate("refused", "").headers["x-request-id"] == "refused"


def test_decisions_are_counted_by_tenant_locale_rule_and_action(real_url):
    def count(rule: str, action: str) -> float:
        labels = {"tenant": "", "locale": "ar-SA", "rule": rule, "action": action, "status": "ok"}
        return sample("propriety_decisions_total", **labels)

    before = count("alcohol", "rewrite"), count("", "allow")
    for prompt in ("a wine glass", "a tree on a hill"):
        httpx.post(f"{real_url}/v1/moderations", json={"input": prompt, "locale": "ar-SA"})
    assert (count("alcohol", "rewrite"), count("", "allow")) == (before[0] + 1, before[1] + 1)


def test_degraded_decisions_and_steps_are_counted_and_labels_stay_bounded(real_url, real_settings, admin_headers):
    before = sample("propriety_degraded_total")
    for number in range(3):
        body = {"input": f"a tree {number}", "locale": f"ar-SA-x-{number}", "model": "propriety-llm"}
        httpx.post(f"{real_url}/v1/moderations", json=body)
        httpx.post(f"{real_url}/v1/moderations", json=body | {"input": "a wine glass", "locale": "ar-SA-u-nu-arab"})
        httpx.get(f"{real_url}/v1/verdicts/{number}")
        httpx.get(f"{real_url}/nowhere/{number}")
    assert sample("propriety_degraded_total") > before
    operator = admin_headers(real_settings.decision_log_url)
    metrics = httpx.get(f"{real_url}/metrics", headers=operator).text
    families = {family.name: family for family in text_string_to_metric_families(metrics)}
    steps = {one.labels["step"] for one in families["propriety_step_seconds"].samples}
    assert {"detect", "total"} <= steps
    routes = {one.labels["route"] for one in families["propriety_request_seconds"].samples}
    assert "/v1/verdicts/{verdict_id}" in routes
    assert not [route for route in routes if any(character.isdigit() for character in route.replace("/v1", ""))]
    locales = {one.labels["locale"] for one in families["propriety_decisions"].samples}
    assert not [one for one in locales if "-u-" in one or any(map(str.isdigit, one))]
    assert families["propriety_requests_in_progress"].samples[0].value >= 1


def test_the_metrics_scope_opens_only_the_metrics(moderator, serve, tmp_path):
    keyed_moderator = moderator.with_settings(
        moderator.settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/keys.db", "keyless": False})
    )
    app = create_app(keyed_moderator)
    keys = {scope: app.state.service.store.tenants.create(scope.value, Terms(scopes=[scope])) for scope in Scope}
    for url in serve(app):
        answers = {
            scope: httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"}).status_code
            for scope, key in keys.items()
        }
        assert answers == {Scope.MODERATE: 403, Scope.DRAW: 403, Scope.METRICS: 200, Scope.ADMIN: 200}
        assert httpx.get(f"{url}/metrics").status_code == 401
        prometheus = {"Authorization": f"Bearer {keys[Scope.METRICS]}"}
        for method, path, body in (
            ("POST", "/v1/moderations", {"input": "a tree"}), ("POST", "/v1/images/generations", {"prompt": "a tree"}),
            ("GET", "/v1/reviews", None), ("POST", "/v1/reviews/v-1", {"outcome": "confirmed", "reason": "r"}),
            ("POST", "/v1/policies/reload", None), ("GET", "/v1/files", None), ("GET", "/v1/batches", None),
        ):  # fmt: skip
            answer = httpx.request(method, url + path, headers=prometheus, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope")


PROGRAM = textwrap.dedent("""
    import asyncio, httpx
    from agent.api.app import create_app
    app = create_app()
    async def main():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for model in ("propriety-nearest", "propriety-llm"):
                body = {"input": "a zebra with a glass of wine", "locale": "ar-SA", "model": model}
                await client.post("/v1/moderations", json=body, headers={"X-Request-ID": "id-of-" + model})
            async def fail_to_decide(*_):
                raise KeyError("a zebra with a glass of wine")
            app.state.service.moderator._decide = fail_to_decide
            await client.post("/v1/moderations", json=body | {"input": "another zebra"})
            def fail_to_write(*_):
                raise ValueError("a zebra with a glass of wine")
            app.state.service.moderator._recorder._commits._write = fail_to_write
            await client.post("/v1/moderations", json=body)
    asyncio.run(main())
""")


@pytest.mark.slow
@pytest.mark.parametrize("prompts", [False, True])
def test_the_log_is_json_with_ids_and_contains_prompts_only_if_configured(tmp_path: Path, prompts: bool):
    settings = {
        "PROPRIETY_POLICIES_DIR": str(SMALL_POLICIES), "PROPRIETY_DATA_DIR": str(tmp_path),
        "PROPRIETY_LLM_URL": "http://127.0.0.1:9/v1", "PROPRIETY_LOG_PROMPTS": str(prompts),
        "PROPRIETY_KEYLESS": "true",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    decided = [line for line in lines if line["message"] == "decided"]
    assert decided[0]["request_id"] == "id-of-propriety-nearest"
    assert (decided[0]["action"], decided[0]["rules"], decided[0]["level"]) == ("rewrite", ["alcohol"], "INFO")
    answered = [line for line in lines if line["message"] == "answered"]
    assert [line["status"] for line in answered] == [200, 200, 200, 500]
    assert {line["route"] for line in answered} == {"/v1/moderations"}
    assert any("degraded" in line["message"] for line in lines)
    failed, _ = [line for line in lines if "no detector is available" in line["message"]]
    assert "KeyError" in failed["exc_info"]
    assert ("zebra" in done.stderr) is prompts
    assert ("zebra" in failed["exc_info"]) is prompts
