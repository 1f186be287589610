"""Two readings of one prompt become one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.judge.detect import Reading
from agent.judge.readings import merge
from propriety.verdict import Category, Severity, Status, Violation

RULES = ["alcohol", "gambling", "weapons"]


def violation(rule: str, confidence: float) -> Violation:
    return Violation(
        rule_id=rule, category=Category.GAMBLING, severity=Severity.LOW, confidence=confidence, rationale="a test"
    )


def reading(risks: dict[str, float], status: Status = Status.OK) -> Reading:
    ranked = sorted(risks, key=lambda rule: -risks[rule])
    return Reading([violation(rule, risks[rule]) for rule in ranked], max(risks.values(), default=0.0), status=status)


risks = st.dictionaries(st.sampled_from(RULES), st.floats(0.5, 1))


@given(risks, risks)
def test_each_rule_counts_at_its_highest_confidence_and_the_gravest_comes_first(one, other):
    merged = merge([reading(one), reading(other)])
    expected = {rule: max(one.get(rule, 0), other.get(rule, 0)) for rule in one.keys() | other.keys()}
    assert {found.rule_id: found.confidence for found in merged.violations} == expected
    confidences = [found.confidence for found in merged.violations]
    assert confidences == sorted(confidences, reverse=True)
    assert merged.score == max(expected.values(), default=0.0)


@pytest.mark.parametrize("degraded", [0, 1])
def test_one_degraded_reading_makes_the_whole_degraded(degraded):
    statuses = [Status.DEGRADED if index == degraded else Status.OK for index in range(2)]
    assert merge([reading({"alcohol": 0.9}, status) for status in statuses]).status is Status.DEGRADED
