"""`propriety policy test`: each policy's own tests, and a report that its editor can read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from agent.moderator import Moderator
from agent.policy.model import Policy, PolicyTest
from agent.terminal.console import (
    console,
    each,
    load_moderator,
    noted_once,
    policy_of,
    read_policies,
    read_settings,
)
from propriety.verdict import ChatMessage, Detector, Status, Verdict

Case = tuple[Policy, PolicyTest]


def run_tests(
    locale: Annotated[str | None, typer.Argument(help="One locale; else every one.")] = None,
    policies: Annotated[
        Path | None, typer.Option("--policies", help="Folder of policy files; else `policies_dir`.")
    ] = None,
    detector: Annotated[Detector | None, typer.Option(help="Instead of the policy's own.")] = None,
) -> None:
    """Run the policies' own tests through the whole agent: a line for each policy, then each test that failed, and why.

    Example: propriety policy test ar-SA --detector nearest

    Exit status: 0 all pass; 1 some fail, or a file is wrong; 2 the locale is malformed or unregistered.
    """
    loaded = read_policies(policies)
    chosen = [policy_of(loaded, locale)] if locale else [policy for policy in loaded.values() if policy.tests]
    moderator = load_moderator(read_settings(policies), loaded)
    cases = [(policy, test) for policy in chosen for test in policy.tests]
    with noted_once():
        verdicts = asyncio.run(verdicts_on(moderator, cases, detector))
    failed = {index for index, (_, test) in enumerate(cases) if not test.expect.met_by(verdicts[index])}
    table = Table("policy", "title", "passed", "allowed as expected", "stopped as expected")
    for policy in chosen:
        own = {index for index, case in enumerate(cases) if case[0] is policy}
        allowed = {index for index in own if cases[index][1].expect.action == "allow"}
        counts = (_count(some, some - failed) for some in (own, allowed, own - allowed))
        table.add_row(policy.locale, policy.title, *counts)
    console.print(table)
    for index in sorted(failed):
        policy, test = cases[index]
        console.print(f"\n{policy.locale}: {test.prompt}", style="bold", markup=False)
        wanted = f"{test.expect.action.value} {test.expect.rule or ''}".strip()
        console.print(f"  expected {wanted}, got {_decided(verdicts[index])}", markup=False)
    if without := sum(verdict.status is Status.DEGRADED for verdict in verdicts.values()):
        console.print(f"{without} tests were judged without the LLM, which did not answer", style="red")
    typer.echo(f"{len(cases) - len(failed)} passed, {len(failed)} failed")
    raise typer.Exit(1 if failed else 0)


async def verdicts_on(moderator: Moderator, cases: list[Case], detector: Detector | None) -> dict[int, Verdict]:
    """The verdict on each test's prompt under its policy, by the case's place in the list."""
    verdicts: dict[int, Verdict] = {}

    async def judge(numbered: tuple[int, Case]) -> None:
        index, (policy, test) = numbered
        message = ChatMessage(role="user", content=test.prompt)
        verdicts[index] = await moderator.moderate([message], policy.tag, detector)

    await each("Testing", list(enumerate(cases)), judge)
    return verdicts


def _decided(verdict: Verdict) -> str:
    reasons = [
        f"{violation.rule_id} {violation.confidence:.2f} by “{violation.spans[0].text if violation.spans else ''}” "
        f"({violation.rationale})"
        for violation in verdict.violations
    ]
    return f"{verdict.action.value}: {'; '.join(reasons) or f'no rule is broken, highest risk {verdict.score:.2f}'}"


def _count(some: set[int], passed: set[int]) -> str:
    return f"{len(passed)} of {len(some)}"
