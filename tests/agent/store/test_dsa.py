"""Statements of reasons, checked against the API documentation of the Transparency Database."""

import datetime as dt

import pytest

from agent.store.dsa import CATEGORIES, OTHER, statement
from propriety.verdict import Action, Status, Verdict

THEN = dt.datetime(2026, 11, 24, 23, 30, tzinfo=dt.UTC)
REQUIRED = {
    "decision_visibility", "decision_visibility_other", "decision_ground", "incompatible_content_ground",
    "incompatible_content_explanation", "content_type", "category", "content_date", "application_date",
    "decision_facts", "source_type", "automated_detection", "automated_decision", "puid",
}  # fmt: skip
KNOWN = {
    f"STATEMENT_CATEGORY_{name}"
    for name in (
        "ANIMAL_WELFARE", "CONSUMER_INFORMATION", "CYBER_VIOLENCE", "CYBER_VIOLENCE_AGAINST_WOMEN",
        "DATA_PROTECTION_AND_PRIVACY_VIOLATIONS", "ILLEGAL_OR_HARMFUL_SPEECH", "INTELLECTUAL_PROPERTY_INFRINGEMENTS",
        "NEGATIVE_EFFECTS_ON_CIVIC_DISCOURSE_OR_ELECTIONS", "NOT_SPECIFIED_NOTICE", "OTHER_VIOLATION_TC",
        "PROTECTION_OF_MINORS", "RISK_FOR_PUBLIC_SECURITY", "SCAMS_AND_FRAUD", "SELF_HARM",
        "UNSAFE_AND_PROHIBITED_PRODUCTS", "VIOLENCE",
    )
}  # fmt: skip


def test_a_block_has_every_required_field_and_no_word_of_the_prompt(blocked: Verdict) -> None:
    made = statement(blocked, THEN)
    assert made is not None
    assert made.keys() == REQUIRED | {"territorial_scope", "category_addition"}
    assert made["category"] == "STATEMENT_CATEGORY_RISK_FOR_PUBLIC_SECURITY"
    assert made["category_addition"] == [OTHER]
    assert made["territorial_scope"] == ["DE"]
    assert (made["content_date"], made["application_date"]) == ("2026-11-24", "2026-11-24")
    assert made["incompatible_content_ground"].endswith("rule weapons")
    assert "refused" in made["decision_facts"]
    assert "bomb" not in str(made)
    assert "Berlin" not in str(made)


def test_a_rewrite_says_that_the_request_was_altered(blocked: Verdict) -> None:
    altered = {"action": Action.REWRITE, "safe_prompt": "a tree", "locale": "ar-SA"}
    made = statement(blocked.model_copy(update=altered), THEN)
    assert made is not None
    assert "altered" in made["decision_visibility_other"]
    assert "territorial_scope" not in made


@pytest.mark.parametrize(
    "changes", [{"action": Action.ALLOW}, {"violations": []}, {"status": Status.ERROR, "violations": []}]
)
def test_a_decision_that_restricts_no_content_has_no_statement(blocked: Verdict, changes: dict) -> None:
    assert statement(blocked.model_copy(update=changes), THEN) is None


def test_texts_are_no_longer_than_the_schema_allows(blocked: Verdict) -> None:
    made = statement(blocked.model_copy(update={"message": "x" * 9000, "model": "m" * 9000}), THEN)
    assert made is not None
    assert len(made["incompatible_content_explanation"]) == 2000
    assert len(made["decision_facts"]) == 5000


def test_every_category_is_one_of_the_database_s() -> None:
    assert {*CATEGORIES.values(), OTHER} <= KNOWN
