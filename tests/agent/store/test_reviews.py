"""A review of a decision also applies to near copies of its prompt: with the real index, without an LLM."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from agent.moderator import Moderator
from agent.open_moderator import open_moderator
from agent.settings import Settings
from agent.store.reviews import Outcome, Review, ReviewError
from agent.store.tenants import Scope, Tenant, Terms
from propriety.verdict import Action, ChatMessage, Severity, Verdict

POLICIES = Path(__file__).parents[2] / "small_policies"
WINE, TREE = "a woman holding a wine glass", "a tree on a hill"
OVERTURN = Review(Outcome.OVERTURNED, "an empty glass in an advert for glassware", "operator")


def small_moderator(data: Path, **settings: Any) -> Moderator:
    defaults = {"policies_dir": POLICIES, "data_dir": data, "database_url": None, "llm_url": "http://127.0.0.1:9/v1"}
    return open_moderator(Settings(**{**defaults, **settings}))


@pytest.fixture
def moderator(tmp_path: Path) -> Moderator:
    return small_moderator(tmp_path)


def moderate(moderator: Moderator, prompt: str, tenant: str = "acme", locale: str = "ar-SA") -> Verdict:
    served = Tenant(tenant, Terms(scopes=[Scope.MODERATE]))
    return asyncio.run(moderator.moderate([ChatMessage(role="user", content=prompt)], locale, tenant=served))


def review(moderator: Moderator, verdict_id: str, decision: Review) -> None:
    moderator.store.reviews.review(verdict_id, decision, moderator.policies)
    moderator.exemplars.refresh()


def test_an_overturned_prompt_and_near_copies_of_it_are_allowed_at_once(moderator: Moderator) -> None:
    first = moderate(moderator, WINE)
    assert first.action is Action.REWRITE
    review(moderator, first.id, OVERTURN)
    for prompt in (WINE, "a woman holding the wine glass", "A woman holding a wine glass"):
        again = moderate(moderator, prompt)
        assert (again.action, again.safe_prompt, again.violations) == (Action.ALLOW, prompt, [])


@pytest.mark.parametrize(
    "prompt",
    [
        "a wine glass", "a woman holding a bottle of wine", "a woman holding a wine glass and a nail bomb",
        "a woman holding a wine glass, a diagram of how to build a nail bomb",
    ],
)  # fmt: skip
def test_a_different_prompt_is_judged_as_before(moderator: Moderator, prompt: str) -> None:
    before = moderate(moderator, prompt)
    review(moderator, moderate(moderator, WINE).id, OVERTURN)
    assert moderate(moderator, prompt).action is before.action


@pytest.mark.parametrize(("holds_for_all", "prompt"), [(False, WINE), (True, WINE), (False, f"{WINE}.")])
def test_what_a_later_policy_makes_critical_is_blocked_although_it_was_overturned(
    tmp_path: Path, holds_for_all: bool, prompt: str
) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    moderator = small_moderator(tmp_path, policies_dir=folder)
    review(moderator, moderate(moderator, WINE).id, OVERTURN._replace(for_all=holds_for_all))
    assert moderate(moderator, prompt).action is Action.ALLOW
    file = folder / "ar-SA.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("severity: medium", "severity: critical"), "utf-8")
    moderator.policies.reload()
    assert moderate(moderator, prompt).action is Action.BLOCK


def test_an_offence_added_to_a_long_allowed_prompt_is_found(moderator: Moderator) -> None:
    scene = ", oil painting, a long table with flowers, candles and plates in a hall, soft light, wide angle, detailed"
    review(moderator, moderate(moderator, WINE + scene).id, OVERTURN)
    assert moderate(moderator, WINE + scene).action is Action.ALLOW
    assert moderate(moderator, WINE + scene + ", a nail bomb").action is not Action.ALLOW
    assert moderate(moderator, WINE + scene + ", a bottle of wine").action is not Action.ALLOW


def test_a_review_applies_to_its_tenant_only_unless_it_is_for_all(moderator: Moderator) -> None:
    first = moderate(moderator, WINE)
    review(moderator, first.id, OVERTURN)
    assert moderate(moderator, WINE, "apex").action is Action.REWRITE
    review(moderator, first.id, OVERTURN._replace(for_all=True))
    assert moderate(moderator, WINE, "apex").action is Action.ALLOW


def test_an_allowed_prompt_that_is_overturned_breaks_the_named_rule(moderator: Moderator) -> None:
    first = moderate(moderator, TREE)
    for wrong in (None, "nothing"):
        with pytest.raises(ReviewError, match="rule"):
            review(moderator, first.id, OVERTURN._replace(rule=wrong))
    review(moderator, first.id, OVERTURN._replace(rule="weapons"))
    again = moderate(moderator, "a tree on the hill")
    assert (again.action, [one.rule_id for one in again.violations]) == (Action.BLOCK, ["weapons"])
    assert TREE not in again.violations[0].rationale
    assert moderate(moderator, "a red apple").action is Action.ALLOW


def test_a_confirmation_changes_nothing_and_a_later_review_replaces_an_earlier_one(moderator: Moderator) -> None:
    first = moderate(moderator, WINE)
    review(moderator, first.id, OVERTURN)
    review(moderator, first.id, Review(Outcome.CONFIRMED, "it is wine", "operator"))
    assert moderate(moderator, WINE).action is Action.REWRITE
    (done,) = moderator.store.reviews.listed(True, None, None, 10)
    assert (done.review, done.entry.verdict.id) == (Review(Outcome.CONFIRMED, "it is wine", "operator"), first.id)


def test_a_review_reaches_other_processes_and_survives_a_restart(moderator: Moderator, tmp_path: Path) -> None:
    other = small_moderator(tmp_path)
    review(moderator, moderate(moderator, WINE).id, OVERTURN)
    assert moderate(other, WINE).action is Action.REWRITE
    other.exemplars.refresh()
    assert moderate(other, WINE).action is Action.ALLOW
    assert moderate(small_moderator(tmp_path), WINE).action is Action.ALLOW


def test_a_critical_rule_cannot_be_overturned(moderator: Moderator, blocked: Verdict) -> None:
    worst = blocked.violations[0].model_copy(update={"severity": Severity.CRITICAL})
    moderator.store.decisions.write_all([(blocked.model_copy(update={"violations": [worst]}), "acme")])
    with pytest.raises(ReviewError, match="critical"):
        review(moderator, blocked.id, OVERTURN)


def test_exemplars_of_encrypted_prompts_are_encrypted_and_hashed_prompts_cannot_be_exemplars(tmp_path: Path) -> None:
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    sealed = small_moderator(tmp_path, prompt_storage="encrypted", prompt_key=key)
    review(sealed, moderate(sealed, WINE).id, OVERTURN)
    assert moderate(sealed, WINE).action is Action.ALLOW
    engine = create_engine(sealed.settings.decision_log_url)
    with engine.connect() as connection:
        assert "wine" not in str(connection.execute(text("SELECT * FROM reviews")).all()).replace("wine glass", "")
    engine.dispose()
    hashed = small_moderator(tmp_path / "other", prompt_storage="hashed", prompt_key=key)
    with pytest.raises(ReviewError, match="hash"):
        review(hashed, moderate(hashed, WINE).id, OVERTURN)


def test_open_reviews_are_restricting_decisions_newest_first(moderator: Moderator) -> None:
    wine, _, other = moderate(moderator, WINE), moderate(moderator, TREE), moderate(moderator, "a wine glass", "apex")
    listed = [reviewed.entry.verdict.id for reviewed in moderator.store.reviews.listed(False, None, None, 10)]
    assert listed == [other.id, wine.id]
    (newest, oldest) = moderator.store.reviews.listed(False, None, None, 10)
    assert moderator.store.reviews.listed(False, None, newest.entry.created_at, 10) == [oldest]
    assert [reviewed.entry.tenant for reviewed in moderator.store.reviews.listed(False, "apex", None, 10)] == ["apex"]
    review(moderator, wine.id, OVERTURN)
    (still_open,) = moderator.store.reviews.listed(False, None, None, 10)
    assert still_open.entry.verdict.id == other.id
