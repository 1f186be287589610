"""The wall clock is set a day ahead and a day back: limits, caches, revoked keys and reviews still work."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.store.database import open_database
from agent.store.tenants import REMEMBERED_S, Scope, Tenants, Terms

PER_MINUTE = 6
UNCHANGED, AHEAD, BACK = "+0", "+86400", "-86400"
WINE, BOTTLE, NEAREST = "a woman holding a wine glass", "a bottle of red wine on a table", "propriety-nearest"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture
def set_clock(folder: Path) -> Callable[[str], object]:
    """Sets the API's clock ahead or back by seconds."""
    (folder / "clock").write_text(UNCHANGED)
    return (folder / "clock").write_text


@pytest.fixture(scope="module")
def tenants(folder: Path) -> Iterator[Tenants]:
    database = open_database(f"sqlite:///{folder}/propriety.db")
    yield Tenants(database)
    database.dispose()


@pytest.fixture(scope="module")
def api(serve: Any, tenants: Tenants, folder: Path) -> Iterator[Any]:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        pytest.skip("no libfaketime: run `apt-get install faketime`")
    key = tenants.create("operator", Terms(scopes=[Scope.MODERATE, Scope.ADMIN], per_minute=None))
    (folder / "clock").write_text(UNCHANGED)
    fake = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": folder / "clock", "FAKETIME_NO_CACHE": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1}  # fmt: skip
    within = ["env", *(f"{name}={value}" for name, value in fake.items())]
    with serve(folder, within=within, cache_size=100) as api:
        api.client.headers["Authorization"] = f"Bearer {key}"
        yield api


def test_a_clock_set_ahead_and_back_changes_no_decision_and_frees_no_key(
    api: Any, set_clock: Any, tenants: Tenants, wait_until: Any
) -> None:
    limited, revoked = (
        {"Authorization": f"Bearer {tenants.create(name, Terms(scopes=[Scope.MODERATE], per_minute=rate))}"}
        for name, rate in (("limited", PER_MINUTE), ("revoked", None))
    )

    def ask(prompts: str | list[str], headers: dict[str, str]) -> Any:
        body = {"input": prompts, "locale": "ar-SA"}
        return api.client.post("/v1/moderations", json=body, headers=headers)

    answered = [api.decision(WINE, NEAREST)["id"]]
    assert ask(WINE, revoked).status_code == 200
    tenants.revoke("revoked")
    for jump in (UNCHANGED, AHEAD, BACK):
        set_clock(jump)
        decision = api.decision(WINE, NEAREST)
        assert (decision["action"], "cache" in decision["timings_ms"]) == ("rewrite", True)
        answered.append(decision["id"])
        # A jump starts a new minute.
        assert ask([f"a tree {number}" for number in range(PER_MINUTE)], limited).status_code == 200
        over_limit = ask(WINE, limited)
        assert over_limit.status_code == 429
        assert int(over_limit.headers["retry-after"]) <= 60
        wait_until(lambda: ask(WINE, revoked).status_code == 401, REMEMBERED_S + 5)
    assert all(api.is_logged(verdict) for verdict in answered)


def test_the_later_review_counts_after_the_clock_was_set_back(api: Any, set_clock: Any) -> None:
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
