"""Verdicts as people read them."""

from __future__ import annotations

from agent.terminal.console import console
from propriety.verdict import Verdict


def print_verdict(verdict: Verdict) -> None:
    """Print a verdict in a few lines."""
    heading = f"{verdict.action.value.upper()} under {verdict.policy.locale} ({verdict.status.value})"
    console.print(heading, style="bold", markup=False)
    for violation in verdict.violations:
        words = ", ".join(span.text for span in violation.spans)
        console.print(
            f"  {violation.rule_id} ({violation.severity.value}, {violation.confidence:.2f}): {words}", markup=False
        )
    if verdict.message:
        console.print(verdict.message, markup=False)
    if verdict.safe_prompt not in (None, verdict.prompt):
        console.print(
            f"Draw instead: {verdict.safe_prompt} (fidelity {verdict.fidelity:.2f}, w_ξ {verdict.wxi}, "
            f"τ_gc {verdict.tau_gc})",
            markup=False,
        )
