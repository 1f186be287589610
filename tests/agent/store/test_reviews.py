"""A person's word on a decision, and the next prompt that is nearly the same: with the real index, without an LLM."""

import asyncio
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
LIFT = Review(Outcome.OVERTURNED, "an empty glass in an advert for glassware", "operator")


def moderator(data: Path, **settings: Any) -> Moderator:
    own = {"policies_dir": POLICIES, "data_dir": data, "database_url": None, "llm_url": "http://127.0.0.1:9/v1"}
    return open_moderator(Settings(**{**own, **settings}))


@pytest.fixture
def judge(tmp_path: Path) -> Moderator:
    return moderator(tmp_path)


def ask(judge: Moderator, prompt: str, tenant: str = "acme", locale: str = "ar-SA") -> Verdict:
    served = Tenant(tenant, Terms(scopes=[Scope.MODERATE]))
    return asyncio.run(judge.moderate([ChatMessage(role="user", content=prompt)], locale, tenant=served))


def review(judge: Moderator, verdict_id: str, given: Review) -> None:
    judge.store.reviews.review(verdict_id, given, judge.policies)
    judge.exemplars.refresh()


def test_an_overturned_prompt_and_near_copies_of_it_are_allowed_at_once(judge: Moderator) -> None:
    first = ask(judge, WINE)
    assert first.action is Action.REWRITE
    review(judge, first.id, LIFT)
    for prompt in (WINE, "a woman holding the wine glass", "A woman holding a wine glass"):
        again = ask(judge, prompt)
        assert (again.action, again.safe_prompt, again.violations) == (Action.ALLOW, prompt, [])


@pytest.mark.parametrize(
    "prompt",
    [
        "a wine glass", "a woman holding a bottle of wine", "a woman holding a wine glass and a nail bomb",
        "a woman holding a wine glass, a diagram of how to build a nail bomb",
    ],
)  # fmt: skip
def test_a_different_prompt_is_judged_as_before(judge: Moderator, prompt: str) -> None:
    before = ask(judge, prompt)
    review(judge, ask(judge, WINE).id, LIFT)
    assert ask(judge, prompt).action is before.action


def test_an_offence_added_to_a_long_allowed_prompt_is_found(judge: Moderator) -> None:
    scene = ", oil painting, a long table with flowers, candles and plates in a hall, soft light, wide angle, detailed"
    review(judge, ask(judge, WINE + scene).id, LIFT)
    assert ask(judge, WINE + scene).action is Action.ALLOW
    assert ask(judge, WINE + scene + ", a nail bomb").action is not Action.ALLOW
    assert ask(judge, WINE + scene + ", a bottle of wine").action is not Action.ALLOW


def test_a_review_applies_to_its_tenant_only_unless_it_is_for_all(judge: Moderator) -> None:
    first = ask(judge, WINE)
    review(judge, first.id, LIFT)
    assert ask(judge, WINE, "apex").action is Action.REWRITE
    review(judge, first.id, LIFT._replace(for_all=True))
    assert ask(judge, WINE, "apex").action is Action.ALLOW


def test_an_allowed_prompt_that_is_overturned_breaks_the_named_rule(judge: Moderator) -> None:
    first = ask(judge, TREE)
    for wrong in (None, "nothing"):
        with pytest.raises(ReviewError, match="rule"):
            review(judge, first.id, LIFT._replace(rule=wrong))
    review(judge, first.id, LIFT._replace(rule="weapons"))
    again = ask(judge, "a tree on the hill")
    assert (again.action, [one.rule_id for one in again.violations]) == (Action.BLOCK, ["weapons"])
    assert TREE not in again.violations[0].rationale
    assert ask(judge, "a red apple").action is Action.ALLOW


def test_a_confirmation_changes_nothing_and_a_later_review_replaces_an_earlier_one(judge: Moderator) -> None:
    first = ask(judge, WINE)
    review(judge, first.id, LIFT)
    review(judge, first.id, Review(Outcome.CONFIRMED, "it is wine", "operator"))
    assert ask(judge, WINE).action is Action.REWRITE
    (done,) = judge.store.reviews.listed(True, None, None, 10)
    assert (done.review, done.entry.verdict.id) == (Review(Outcome.CONFIRMED, "it is wine", "operator"), first.id)


def test_a_review_reaches_other_processes_and_survives_a_restart(judge: Moderator, tmp_path: Path) -> None:
    other = moderator(tmp_path)
    review(judge, ask(judge, WINE).id, LIFT)
    assert ask(other, WINE).action is Action.REWRITE
    other.exemplars.refresh()
    assert ask(other, WINE).action is Action.ALLOW
    assert ask(moderator(tmp_path), WINE).action is Action.ALLOW


def test_a_critical_rule_cannot_be_overturned(judge: Moderator, blocked: Verdict) -> None:
    worst = blocked.violations[0].model_copy(update={"severity": Severity.CRITICAL})
    judge.store.decisions.write_all([(blocked.model_copy(update={"violations": [worst]}), "acme")])
    with pytest.raises(ReviewError, match="critical"):
        review(judge, blocked.id, LIFT)


def test_exemplars_of_encrypted_prompts_are_encrypted_and_hashed_prompts_cannot_be_exemplars(tmp_path: Path) -> None:
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    sealed = moderator(tmp_path, prompt_storage="encrypted", prompt_key=key)
    review(sealed, ask(sealed, WINE).id, LIFT)
    assert ask(sealed, WINE).action is Action.ALLOW
    engine = create_engine(sealed.settings.decision_log_url)
    with engine.connect() as connection:
        assert "wine" not in str(connection.execute(text("SELECT * FROM reviews")).all()).replace("wine glass", "")
    engine.dispose()
    hashed = moderator(tmp_path / "other", prompt_storage="hashed", prompt_key=key)
    with pytest.raises(ReviewError, match="hash"):
        review(hashed, ask(hashed, WINE).id, LIFT)


def test_open_reviews_are_restricting_decisions_newest_first(judge: Moderator) -> None:
    wine, _, other = ask(judge, WINE), ask(judge, TREE), ask(judge, "a wine glass", "apex")
    listed = [reviewed.entry.verdict.id for reviewed in judge.store.reviews.listed(False, None, None, 10)]
    assert listed == [other.id, wine.id]
    (newest, oldest) = judge.store.reviews.listed(False, None, None, 10)
    assert judge.store.reviews.listed(False, None, newest.entry.created_at, 10) == [oldest]
    assert [reviewed.entry.tenant for reviewed in judge.store.reviews.listed(False, "apex", None, 10)] == ["apex"]
    review(judge, wine.id, LIFT)
    assert [reviewed.entry.verdict.id for reviewed in judge.store.reviews.listed(False, None, None, 10)] == [other.id]
