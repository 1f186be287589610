"""The decision is a pure function: the worst violation decides, and nothing makes it milder."""

from hypothesis import given
from hypothesis import strategies as st

from agent.decide import decide, stronger
from agent.policy.files import load_policies
from agent.settings import Settings
from propriety.verdict import Action, Category, Knobs, Severity, Violation

BASE = load_policies(Settings().policies_dir)["base"]
violations = st.builds(
    Violation,
    rule_id=st.just("a.rule"),
    category=st.sampled_from(Category),
    severity=st.sampled_from(Severity),
    confidence=st.floats(0, 1),
    rationale=st.just("why"),
    spans=st.just([]),
)


def test_a_prompt_without_violations_is_allowed() -> None:
    assert decide([], BASE) == (Action.ALLOW, None, 0.0, 0.0)


@given(st.lists(violations, min_size=1))
def test_the_worst_violation_decides_in_any_order(found: list[Violation]) -> None:
    decision = decide(found, BASE)
    assert decision == decide(found[::-1], BASE)
    assert decision.severity == max((v.severity for v in found), key=lambda severity: severity.rank)


@given(st.lists(violations), violations)
def test_one_more_violation_never_makes_the_decision_milder(found: list[Violation], more: Violation) -> None:
    order = [Action.ALLOW, Action.REWRITE, Action.BLOCK]
    assert order.index(decide([*found, more], BASE).action) >= order.index(decide(found, BASE).action)


@given(st.lists(violations))
def test_a_critical_violation_is_blocked_and_never_drawn(found: list[Violation]) -> None:
    critical = Violation(
        rule_id="a.rule", category=Category.HATE, severity=Severity.CRITICAL, confidence=1, rationale="why"
    )
    assert decide([*found, critical], BASE) == (Action.BLOCK, Severity.CRITICAL, None, None)


def test_a_rewrite_can_be_strengthened_up_to_the_worst_severity_that_is_rewritten() -> None:
    def found(severity: Severity) -> list[Knobs]:
        violation = Violation(
            rule_id="a.rule", category=Category.HATE, severity=severity, confidence=1, rationale="why"
        )
        return stronger(decide([violation], BASE), BASE)

    medium, high = (
        Knobs(wxi=level.wxi, tau_gc=level.tau_gc) for level in (BASE.severities.medium, BASE.severities.high)
    )
    assert found(Severity.LOW) == [medium, high]
    assert found(Severity.MEDIUM) == [high]
    assert found(Severity.HIGH) == found(Severity.CRITICAL) == []
    assert stronger(decide([], BASE), BASE) == []
