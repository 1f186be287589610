"""The decision: a pure function of violations and policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agent.policy.model import Policy
from propriety.verdict import Action, Knobs, Severity, Violation


class Decision(NamedTuple):
    """What to do, and the knobs of the drawing: `wxi` and `tau_gc` in [0, 1], None where nothing is drawn."""

    action: Action
    severity: Severity | None
    wxi: float | None
    tau_gc: float | None


def decide(violations: Sequence[Violation], policy: Policy) -> Decision:
    """The worst violation decides; every other one is kept in the verdict but changes nothing."""
    if not violations:
        return Decision(Action.ALLOW, None, 0.0, 0.0)
    severity = max((violation.severity for violation in violations), key=lambda severity: severity.rank)
    level = policy.severities[severity]
    if level.action is Action.ALLOW:
        return Decision(Action.ALLOW, severity, 0.0, 0.0)
    return Decision(level.action, severity, level.wxi, level.tau_gc)


def stronger(decision: Decision, policy: Policy) -> list[Knobs]:
    """The knobs of the severities above a rewritten prompt's that rewrite too, mildest first; at most two."""
    if decision.action is not Action.REWRITE or decision.severity is None:
        return []
    graver = [policy.severities[severity] for severity in Severity if severity.rank > decision.severity.rank]
    return [
        Knobs(wxi=level.wxi, tau_gc=level.tau_gc)
        for level in graver
        if level.wxi is not None and level.tau_gc is not None
    ]
