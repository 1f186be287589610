"""A child gives only what differs, and nothing may weaken what protects minors."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.policy.files import load_policies
from agent.policy.source import PolicyError

Write = Callable[[dict[str, str]], Path]

FIELDS = "category: hate, severity: low, definition: d, message: {en: m}, sources: [s]"
MINORS = "  - {id: minors, category: child_sexual_exploitation, severity: critical, definition: d, message: {en: m}, sources: [s]}\n"  # fmt: skip  # noqa: E501


def test_a_child_overrides_field_by_field(write: Write, base: str, child: str) -> None:
    policy = load_policies(write({"base": base, "de-DE": child}))["de-DE"]
    rule = policy.rules[0]
    assert (rule.severity, rule.definition) == ("low", "What it forbids.")
    assert (policy.title, str(policy.version), policy.detector) == ("Deutschland", "2026-01-02", "nearest")


def test_a_rule_is_disabled_with_a_reason(write: Write, base: str, child: str) -> None:
    other = f"disabled: not an offence in this place\n  - {{id: b, {FIELDS}}}"
    policies = load_policies(write({"base": base, "de-DE": child.replace("severity: low", other)}))
    assert [rule.id for rule in policies["de-DE"].rules] == ["b"]


@pytest.mark.parametrize(
    "weaker",
    [
        "disabled: not an offence in this place",
        "category: hate, severity: low",
        "definition: other",
        "only_with: [hate]",
    ],
)
def test_a_rule_that_protects_minors_is_neither_disabled_nor_narrowed(
    write: Write, base: str, child: str, weaker: str
) -> None:
    folder = write({"base": base + MINORS, "de-DE": child + f"  - {{id: minors, {weaker}}}\n"})
    with pytest.raises(PolicyError, match="protects minors") as refusal:
        load_policies(folder)
    assert (refusal.value.path.name, refusal.value.line) == ("de-DE.yaml", 8)


def test_a_rule_that_protects_minors_may_have_its_own_wording(write: Write, base: str, child: str) -> None:
    worded = child + "  - {id: minors, message: {de: Nein.}, sources: [StGB 184b]}\n"
    policy = load_policies(write({"base": base + MINORS, "de-DE": worded}))["de-DE"]
    assert policy.rules_by_id["minors"].message == {"de": "Nein."}
