"""The contract refuses unknown fields and loses nothing in JSON."""

import itertools
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from propriety.verdict import ChatMessage, Knobs, PolicyRef, Severity, Span, Verdict, Violation

REWRITTEN: dict[str, Any] = {
    "id": "verdict-1", "status": "degraded", "action": "rewrite", "severity": "medium", "flagged": True, "score": 0.9,
    "violations": [
        {
            "rule_id": "alcohol", "category": "regulated_substances", "severity": "medium", "confidence": 0.9,
            "rationale": "near “wine”", "spans": [{"start": 0, "end": 4, "text": "wine"}],
        }
    ],
    "prompt": "wine 🍷 نبيذ", "safe_prompt": "juice 🍷 عصير", "fidelity": 0.8, "wxi": 0.75, "tau_gc": 0.2,
    "stronger": [{"wxi": 0.95, "tau_gc": 0.1}],
    "locale": "ar-SA", "policy": {"locale": "ar-SA", "version": "2026-01-01", "hash": "0" * 64},
    "model": "multilingual-e5-small", "message": "تم التغيير.", "timings_ms": {"total": 1.5},
}  # fmt: skip


def test_a_verdict_is_unchanged_after_a_round_trip_through_json() -> None:
    verdict = Verdict.model_validate(REWRITTEN)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
    assert verdict.model_dump(mode="json") == REWRITTEN


def test_the_generator_receives_prompts_parameters_and_ids_but_no_policy() -> None:
    sent = ("prompt", "safe_prompt", "wxi", "tau_gc", "stronger")
    assert Verdict.model_validate(REWRITTEN).for_the_generator() == {name: REWRITTEN[name] for name in sent} | {
        "verdict_id": "verdict-1",
        "policy_version": f"ar-SA 2026-01-01 {'0' * 64}",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *itertools.product(("score", "fidelity", "wxi", "tau_gc"), (-0.01, 1.01, float("nan"), float("inf"))),
        ("action", "draw"),
        ("status", "fine"),
        ("severity", "grave"),
        ("score", None),
        ("locale", None),
        ("saf_prompt", "a typo"),
    ],
)
def test_a_verdict_refuses_values_out_of_range_and_unknown_fields(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Verdict.model_validate(REWRITTEN | {field: value})


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("violation", "confidence", 1.5),
        ("violation", "category", "rudeness"),
        ("violation", "rule", "alcohol"),
        ("span", "start", -1),
        ("span", "length", 4),
        ("policy", "sha", "0"),
        ("knobs", "wxi", 1.5),
    ],
)
def test_the_parts_of_a_verdict_are_as_strict(part: str, field: str, value: object) -> None:
    violation = REWRITTEN["violations"][0]
    models: dict[str, tuple[type[BaseModel], dict[str, Any]]] = {
        "violation": (Violation, violation),
        "span": (Span, violation["spans"][0]),
        "policy": (PolicyRef, REWRITTEN["policy"]),
        "knobs": (Knobs, REWRITTEN["stronger"][0]),
    }
    model, sound = models[part]
    assert model.model_validate(sound)
    with pytest.raises(ValidationError, match=field):
        model.model_validate(sound | {field: value})


@pytest.mark.parametrize("field", [name for name, field in Verdict.model_fields.items() if field.is_required()])
def test_a_verdict_without_a_required_field_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Verdict.model_validate({name: value for name, value in REWRITTEN.items() if name != field})


def test_a_verdict_is_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Verdict.model_validate(REWRITTEN).action = "allow"  # type: ignore[misc, assignment]


def test_severities_are_ranked_from_mild_to_grave() -> None:
    ranked = sorted(Severity, key=lambda severity: severity.rank)
    assert ranked == [Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL]


def test_every_field_of_a_verdict_and_of_its_parts_is_described() -> None:
    schema = Verdict.model_json_schema()
    parts = [schema, *(part for part in schema["$defs"].values() if "properties" in part)]
    assert len(parts) == 5
    assert all(field.get("description") for part in parts for field in part["properties"].values())


def test_a_message_with_an_unknown_role_is_refused() -> None:
    with pytest.raises(ValidationError, match="role"):
        ChatMessage(role="tool", content="a tree")  # type: ignore[arg-type]
