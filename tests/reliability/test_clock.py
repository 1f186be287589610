"""The wall clock put a day ahead and a day back: limits, caches, revoked keys and reviews do not heed it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.store.database import open_database
from agent.store.tenants import REMEMBERED_S, Scope, Tenants, Terms

PER_MINUTE, A_TOKEN_S = 6, 10.0
AHEAD, BACK = "+86400", "-86400"
WINE, BOTTLE, NEAREST = "a woman holding a wine glass", "a bottle of red wine on a table", "propriety-nearest"


@pytest.fixture
def set_clock(tmp_path: Path) -> Callable[[str], object]:
    """Puts the API's clock ahead or back by seconds."""
    file = tmp_path / "clock"
    file.write_text("+0")
    return file.write_text


@pytest.fixture
def tenants(tmp_path: Path) -> Iterator[Tenants]:
    database = open_database(f"sqlite:///{tmp_path}/propriety.db")
    yield Tenants(database)
    database.dispose()


@pytest.fixture
def api(serve: Any, set_clock: Any, tenants: Tenants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        pytest.skip("no libfaketime: `apt-get install faketime` brings it")
    key = tenants.create("operator", Terms(scopes=[Scope.MODERATE, Scope.ADMIN], per_minute=None))
    fake = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": tmp_path / "clock", "FAKETIME_NO_CACHE": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1}  # fmt: skip
    within = ["env", *(f"{name}={value}" for name, value in fake.items())]
    with serve(tmp_path, within=within, cache_size=100) as api:
        api.client.headers["Authorization"] = f"Bearer {key}"
        yield api


def test_put_ahead_and_back(api: Any, set_clock: Any, tenants: Tenants, wait_until: Any) -> None:
    limited, revoked = (
        {"Authorization": f"Bearer {tenants.create(name, Terms(scopes=[Scope.MODERATE], per_minute=rate))}"}
        for name, rate in (("limited", PER_MINUTE), ("revoked", None))
    )

    def ask(prompts: str | list[str], headers: dict[str, str]) -> Any:
        body = {"input": prompts, "locale": "ar-SA"}
        return api.client.post("/v1/moderations", json=body, headers=headers)

    assert ask(WINE, revoked).status_code == 200
    tenants.revoke("revoked")
    wait_until(lambda: ask(WINE, revoked).status_code == 401, REMEMBERED_S + 5)
    answered = [first["id"] for first in [api.decision(WINE, NEAREST)]]
    emptied_at = time.monotonic()
    assert ask([f"a tree {number}" for number in range(PER_MINUTE)], limited).status_code == 200
    for jump in (AHEAD, BACK):
        set_clock(jump)
        decision = api.decision(WINE, NEAREST)
        assert (decision["action"], "cache" in decision["timings_ms"]) == ("rewrite", True)
        answered.append(decision["id"])
        assert ask(WINE, revoked).status_code == 401
        again = ask(WINE, limited)
        if time.monotonic() - emptied_at < A_TOKEN_S:
            assert again.status_code == 429
            assert int(again.headers["retry-after"]) <= A_TOKEN_S
    wait_until(lambda: ask(WINE, limited).status_code == 200, A_TOKEN_S + 5)
    assert all(api.logged(verdict) for verdict in answered)


def test_a_later_review_is_followed_though_the_clock_was_put_back(api: Any, set_clock: Any) -> None:
    def review(verdict: str, outcome: str) -> None:
        body = {"outcome": outcome, "reason": "an advert for glassware"}
        assert api.client.post(f"/v1/reviews/{verdict}", json=body).status_code == 200

    first, second = (api.decision(prompt, NEAREST) for prompt in (WINE, BOTTLE))
    for decision in (first, second):
        review(decision["id"], "overturned")
        assert api.decision(decision["prompt"], NEAREST)["action"] == "allow"
    set_clock(BACK)
    review(first["id"], "confirmed")
    assert api.decision(WINE, NEAREST)["action"] == "rewrite"
