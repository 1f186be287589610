"""The decision: a pure function of violations and policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agent.policy.model import Policy
from propriety.verdict import Action, Knobs, Severity, Violation


class Decision(NamedTuple):
    """What to do, and how to draw: `wxi` and `tau_gc` in [0, 1], None if nothing is drawn."""

    action: Action
    severity: Severity | None
    wxi: float | None
    tau_gc: float | None

    def blocked(self) -> Decision:
        """The same severity, but nothing is drawn."""
        return self._replace(action=Action.BLOCK, wxi=None, tau_gc=None)


def decide(violations: Sequence[Violation], policy: Policy) -> Decision:
    """The worst violation decides; the others stay in the verdict and change nothing."""
    if not violations:
        return Decision(Action.ALLOW, None, 0.0, 0.0)
    severity = max((violation.severity for violation in violations), key=lambda severity: severity.rank)
    level = policy.severities[severity]
    if level.action is Action.ALLOW:
        return Decision(Action.ALLOW, severity, 0.0, 0.0)
    return Decision(level.action, severity, level.wxi, level.tau_gc)


def stronger(decision: Decision, policy: Policy) -> list[Knobs]:
    """The knobs of the graver severities that rewrite too, mildest first; none if nothing is rewritten."""
    if decision.action is not Action.REWRITE or decision.severity is None:
        return []
    graver = [policy.severities[severity] for severity in Severity if severity.rank > decision.severity.rank]
    return [
        Knobs(wxi=level.wxi, tau_gc=level.tau_gc)
        for level in graver
        if level.wxi is not None and level.tau_gc is not None
    ]
