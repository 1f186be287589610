"""Record a decision: in the decision log first, then in the metrics and this process's log."""

from __future__ import annotations

import logging

from agent.metrics import STEP_SECONDS, count_decision
from agent.store.decisions import DecisionLog
from agent.store.group_commit import GroupCommit
from propriety.verdict import Verdict

log = logging.getLogger("propriety")


class Recorder:
    """Used within one event loop."""

    def __init__(self, decisions: DecisionLog, log_prompts: bool) -> None:
        """With `log_prompts`, the process's log quotes prompts."""
        self._commits, self._log_prompts = GroupCommit(decisions.write_all), log_prompts

    async def record(self, verdict: Verdict, tenant: str) -> None:
        """Returns once the verdict is committed; a caller has it only after the decision log does.

        Raises:
            SQLAlchemyError: it cannot be written.
        """
        with STEP_SECONDS.labels("commit").time():
            await self._commits.add((verdict, tenant))
        count_decision(verdict, tenant)
        fields = {
            "verdict_id": verdict.id, "tenant": tenant, "locale": verdict.locale, "policy": verdict.policy.locale,
            "action": verdict.action.value, "status": verdict.status.value, "ms": verdict.timings_ms.get("total"),
            "severity": verdict.severity and verdict.severity.value,
            "rules": [violation.rule_id for violation in verdict.violations],
        }  # fmt: skip
        if self._log_prompts:
            fields |= {"prompt": verdict.prompt, "safe_prompt": verdict.safe_prompt}
        log.info("decided", extra=fields)
