"""`propriety policy test`: run the tests in the policy files, and report to their editor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.table import Table

from agent.authoring.own_tests import CaseResult, cases_of, run_cases
from agent.policy.model import Policy
from agent.terminal.console import WRONG, console
from agent.terminal.loading import load_moderator, policy_of, read_policies, read_settings
from agent.terminal.offline import AllowDegraded, offline_work, report_degraded
from agent.terminal.progress import counting
from propriety.verdict import Action, Detector, Status, Verdict


def run_tests(
    locale: Annotated[str | None, typer.Argument(help="One locale; default: all.")] = None,
    policies: Annotated[
        Path | None, typer.Option("--policies", help="Folder of policy files; default: the setting `policies_dir`.")
    ] = None,
    detector: Annotated[Detector | None, typer.Option(help="Instead of the policy's own.")] = None,
    allow_degraded: AllowDegraded = False,
) -> None:
    """Run the tests in the policy files through the whole agent, rewriting included.

    Prints a line for each policy, and for each test that failed what was expected, what was decided, and why. The
    decision log stays as it is.

    Example: propriety policy test ar-SA --detector nearest

    Exit status: 0 all pass; 1 some fail or are degraded, or a file is wrong; 2 the locale is malformed or unregistered.
    """
    loaded = read_policies(policies)
    chosen = [policy_of(loaded, locale)] if locale else [policy for policy in loaded.values() if policy.tests]
    cases = cases_of(chosen)
    with TemporaryDirectory() as folder:
        # Tests neither belong in the decision log, nor are they decided by its reviews.
        own = {"database_url": f"sqlite:///{folder}/decisions.db"}
        moderator = load_moderator(read_settings(policies).model_copy(update=own), loaded)
        with moderator.store, offline_work(), counting("Testing", len(cases)) as done:
            results = asyncio.run(run_cases(moderator, cases, detector, done))
    console.print(_summary(chosen, results))
    failed = [result for result in results if not result.passed]
    for result in failed:
        console.print(f"\n{result.policy.locale}: {result.test.prompt}", style="bold", markup=False)
        expected = f"{result.test.expect.action.value} {result.test.expect.rule or ''}".strip()
        console.print(f"  expected {expected}, got {_explained(result.verdict)}", markup=False)
    typer.echo(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    report_degraded(sum(result.verdict.status is Status.DEGRADED for result in results), "tests", allow_degraded)
    raise typer.Exit(WRONG if failed else 0)


def _summary(policies: Sequence[Policy], results: Sequence[CaseResult]) -> Table:
    table = Table("policy", "title", "passed", "allowed as expected", "stopped as expected")
    for policy in policies:
        own = [result for result in results if result.policy is policy]
        allowed = [result for result in own if result.test.expect.action is Action.ALLOW]
        stopped = [result for result in own if result.test.expect.action is not Action.ALLOW]
        table.add_row(policy.locale, policy.title, *(_passed(part) for part in (own, allowed, stopped)))
    return table


def _passed(results: Sequence[CaseResult]) -> str:
    return f"{sum(result.passed for result in results)} of {len(results)}"


def _explained(verdict: Verdict) -> str:
    reasons = [
        f"{violation.rule_id} {violation.confidence:.2f} by “{violation.spans[0].text if violation.spans else ''}” "
        f"({violation.rationale})"
        for violation in verdict.violations
    ]
    return f"{verdict.action.value}: {'; '.join(reasons) or f'no rule is broken, highest risk {verdict.score:.2f}'}"
