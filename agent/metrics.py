"""Metrics for Prometheus, by its own thread-safe library."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from propriety.verdict import Action, Status, Verdict

# From a cached verdict to a rewrite by an LLM on a busy CPU.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

DECISIONS = Counter(
    "propriety_decisions",
    "Decisions; the rule is the gravest one broken, empty if none is.",
    ["tenant", "locale", "rule", "action", "status"],
)
DEGRADED = Counter("propriety_degraded", "Decisions of the neighbours alone, because the LLM was unavailable.")
FAIL_OPEN = Counter("propriety_fail_open", "Prompts let through although no detector was available.")
STEP_SECONDS = Histogram("propriety_step_seconds", "Time that a step of a decision took.", ["step"], buckets=BUCKETS)
REQUEST_SECONDS = Histogram(
    "propriety_request_seconds", "Time to answer a request.", ["method", "route", "status"], buckets=BUCKETS
)
IN_PROGRESS = Gauge("propriety_requests_in_progress", "Requests being processed.")
REFUSED = Counter("propriety_refused", "Requests refused before they were judged.", ["code"])
CACHE = Counter("propriety_cache_requests", "Lookups in the verdict cache.", ["result"])
BATCH_LINES = Counter("propriety_batch_lines", "Lines of batches that this process judged.", ["result"])
BATCH_LINES_WAITING = Gauge("propriety_batch_lines_waiting", "Lines of all batches that are not judged yet.")
POLICIES_BROKEN = Gauge("propriety_policies_broken", "1 while a file is wrong and the previous policies are in force.")
POLICIES_READ_AT = Gauge("propriety_policies_read_timestamp_seconds", "When the policies in force were read.")


def count_decision(verdict: Verdict, tenant: str) -> None:
    """Count by the policy's locale, not the caller's: those are unbounded."""
    worst = max(verdict.violations, key=lambda violation: violation.severity.rank, default=None)
    rule, action, status = worst.rule_id if worst else "", verdict.action.value, verdict.status.value
    DECISIONS.labels(tenant, verdict.policy.locale, rule, action, status).inc()
    if verdict.status is Status.DEGRADED:
        DEGRADED.inc()
    if verdict.status is Status.ERROR and verdict.action is Action.ALLOW:
        FAIL_OPEN.inc()
    for step, milliseconds in verdict.timings_ms.items():
        STEP_SECONDS.labels(step).observe(milliseconds / 1000)
