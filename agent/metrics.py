"""What is counted and timed, for Prometheus; prometheus-client is its own library, and thread-safe."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from propriety.verdict import Action, Status, Verdict

# From an answer of the cache to an LLM on a CPU that rewrites under load.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

DECISIONS = Counter(
    "propriety_decisions",
    "Decisions; the rule is the gravest that was broken, and empty where none was.",
    ["tenant", "locale", "rule", "action", "status"],
)
DEGRADED = Counter("propriety_degraded", "Decisions of the neighbours alone, as the LLM was not to be had.")
FAIL_OPEN = Counter("propriety_fail_open", "Prompts let through though nothing could judge them.")
STEP_SECONDS = Histogram("propriety_step_seconds", "Time that a step of a decision took.", ["step"], buckets=BUCKETS)
REQUEST_SECONDS = Histogram(
    "propriety_request_seconds", "Time to answer a request.", ["method", "route", "status"], buckets=BUCKETS
)
IN_PROGRESS = Gauge("propriety_requests_in_progress", "Requests that came in and are not answered yet.")
REFUSED = Counter("propriety_refused", "Requests refused before they were judged.", ["code"])
CACHE = Counter("propriety_cache_requests", "Questions to the cache of verdicts.", ["result"])
BATCH_LINES = Counter("propriety_batch_lines", "Lines of batches that this process answered.", ["result"])
BATCH_LINES_WAITING = Gauge("propriety_batch_lines_waiting", "Lines of all batches in the database, not answered yet.")
POLICIES_BROKEN = Gauge("propriety_policies_broken", "1 while a policy file is broken and those of before are served.")
POLICIES_READ_AT = Gauge("propriety_policies_read_timestamp_seconds", "When the policies in force were read.")


def count_decision(verdict: Verdict, tenant: str) -> None:
    """By the policy's locale, not the caller's, of which there is no end."""
    worst = max(verdict.violations, key=lambda violation: violation.severity.rank, default=None)
    rule, action, status = worst.rule_id if worst else "", verdict.action.value, verdict.status.value
    DECISIONS.labels(tenant, verdict.policy.locale, rule, action, status).inc()
    if verdict.status is Status.DEGRADED:
        DEGRADED.inc()
    if verdict.status is Status.ERROR and verdict.action is Action.ALLOW:
        FAIL_OPEN.inc()
    for step, milliseconds in verdict.timings_ms.items():
        STEP_SECONDS.labels(step).observe(milliseconds / 1000)
