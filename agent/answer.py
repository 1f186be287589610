"""The verdict that follows from a reading and a decision."""

from __future__ import annotations

from typing import NamedTuple

from agent.decide import Decision, stronger
from agent.judge.detect import Reading
from agent.policy.model import Policy
from propriety.verdict import Action, PolicyRef, Status, Verdict, Violation


class Outcome(NamedTuple):
    """How a prompt was judged.

    fidelity: in [0, 1]; None if nothing is drawn.
    by_llm: whether the LLM judged or worded anything.
    """

    reading: Reading
    decision: Decision
    safe_prompt: str | None
    fidelity: float | None
    by_llm: bool = False


def undetected(prompt: str, fail_open: bool) -> Outcome:
    """Without any detector the risk counts as the highest, and nothing passes unless `fail_open` is set."""
    reading = Reading([], 1.0, status=Status.ERROR)
    if fail_open:
        return Outcome(reading, Decision(Action.ALLOW, None, 0.0, 0.0), prompt, 1.0)
    return Outcome(reading, Decision(Action.BLOCK, None, None, None), None, None)


def answer(
    outcome: Outcome, prompt: str, tag: str, policy: Policy, model: str, timings_ms: dict[str, float]
) -> Verdict:
    """The verdict on a prompt under the policy of the locale `tag`. Its id is set when it is recorded."""
    reading, decision, safe_prompt, fidelity, _ = outcome
    return Verdict(
        id="",
        status=reading.status,
        action=decision.action,
        severity=decision.severity,
        flagged=bool(reading.violations),
        score=reading.score,
        violations=reading.violations,
        prompt=prompt,
        safe_prompt=safe_prompt,
        fidelity=fidelity,
        wxi=decision.wxi,
        tau_gc=decision.tau_gc,
        stronger=stronger(decision, policy),
        locale=tag,
        policy=PolicyRef(locale=policy.locale, version=policy.version.isoformat(), hash=policy.hash),
        model=model,
        message=_message(policy, decision, reading.violations),
        timings_ms=timings_ms,
    )


def _message(policy: Policy, decision: Decision, violations: list[Violation]) -> str | None:
    if decision.action is Action.ALLOW:
        return None
    general = policy.message.block if decision.action is Action.BLOCK else policy.message.rewrite
    if not violations:
        return policy.say(general)
    worst = max(violations, key=lambda violation: violation.severity.rank)
    return f"{policy.say(general)} {policy.say(policy.rules_by_id[worst.rule_id].message)}"
