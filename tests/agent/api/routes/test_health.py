import httpx
import pytest

from agent.api.readiness import Readiness


@pytest.mark.parametrize(
    ("part", "status", "code"),
    [("ok", "ok", 200), ("degraded: no answer", "degraded", 200), ("failed: OperationalError", "unready", 503)],
)
def test_healthz_reports_the_process_and_readyz_reports_every_part(url, monkeypatch, part, status, code):
    async def parts(self: Readiness) -> dict[str, str]:
        return {"policies": "ok", "llm": part}

    monkeypatch.setattr(Readiness, "parts", parts)
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    answer = httpx.get(f"{url}/readyz")
    assert (answer.status_code, answer.json()["status"]) == (code, status)
    assert answer.json()["parts"]["llm"] == part


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_an_uptime_checker_may_ask_for_the_head_alone(url, path):
    head = httpx.head(url + path)
    assert (head.status_code, head.content) == (200, b"")
