"""The operator's routes for reviews, in front of the real moderator."""

from pathlib import Path

import httpx
import pytest

from agent.api.app import create_app
from agent.open_moderator import open_moderator
from agent.settings import Settings
from agent.store.tenants import Scope, Terms

SMALL_POLICIES = Path(__file__).parents[3] / "small_policies"

WINE = {"input": "a woman holding a wine glass", "locale": "ar-SA"}


@pytest.fixture(scope="module")
def service(tmp_path_factory, serve):
    """A client with the operator's key, and one with a tenant's."""
    settings = Settings(
        policies_dir=SMALL_POLICIES, data_dir=tmp_path_factory.mktemp("data"), database_url=None,
        llm_url="http://127.0.0.1:9/v1",
    )  # fmt: skip
    app = create_app(open_moderator(settings))
    keys = {
        name: app.state.service.store.tenants.create(name, Terms(scopes=scopes, per_minute=None))
        for name, scopes in (("operator", [Scope.ADMIN]), ("acme", [Scope.MODERATE]))
    }
    for url in serve(app):
        clients = [
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)
            for key in keys.values()
        ]
        yield clients
        for client in clients:
            client.close()


def decide(acme, body=WINE):
    return acme.post("/v1/moderations", json=body).json()["results"][0]["decision"]


def test_an_open_decision_is_listed_and_once_overturned_changes_the_next_one(service):
    operator, acme = service
    verdict = decide(acme)
    (item,) = operator.get("/v1/reviews").json()["data"]
    assert (item["id"], item["tenant"], item["status"]) == (verdict["id"], "acme", "open")
    review = {"outcome": "overturned", "reason": "glassware"}
    answer = operator.post(f"/v1/reviews/{verdict['id']}", json=review)
    assert answer.status_code == 200
    expected = {"status": "overturned", "reason": "glassware", "reviewer": "operator", "holds_for": "tenant"}
    assert answer.json().items() >= expected.items()
    assert decide(acme)["action"] == "allow"
    assert operator.get("/v1/reviews").json()["data"] == []
    assert operator.get("/v1/reviews", params={"status": "done"}).json()["data"] == [answer.json()]


def test_a_page_begins_where_the_previous_one_ends(service):
    operator, acme = service
    for number in range(3):
        decide(acme, WINE | {"input": f"{number} men holding a wine glass"})
    first = operator.get("/v1/reviews", params={"limit": 2}).json()
    rest = operator.get("/v1/reviews", params={"before": first["data"][-1]["created_at"]}).json()
    assert (len(first["data"]), first["has_more"], len(rest["data"]), rest["has_more"]) == (2, True, 1, False)


def test_invalid_reviews_and_queries_are_refused(service):
    operator, acme = service
    allowed = decide(acme, {"input": "a tree on a hill", "locale": "ar-SA"})["id"]
    review = {"outcome": "overturned", "reason": "r"}
    for path, body, status, code in (
        ("none", review, 404, "not_found"),
        (allowed, review, 409, "not_reviewable"),
        (allowed, review | {"reason": ""}, 400, "too_short"),
        (allowed, {"outcome": "overturned"}, 400, "missing"),
        (allowed, review | {"outcome": "maybe"}, 400, "enum"),
    ):
        answer = operator.post(f"/v1/reviews/{path}", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    for wrong in ({"limit": 0}, {"before": "soon"}, {"before": "2026-01-01T00:00:00"}, {"status": "all"}):
        assert operator.get("/v1/reviews", params=wrong).status_code == 400


def test_only_the_operator_can_list_and_write_reviews(service):
    _, acme = service
    assert acme.get("/v1/reviews").status_code == 403
    assert (
        acme.post(f"/v1/reviews/{decide(acme)['id']}", json={"outcome": "confirmed", "reason": "r"}).status_code == 403
    )
