"""`propriety policy`: what a policy editor works with."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from ruamel.yaml import YAML

from agent.cli.policy_diff import diff
from agent.cli.terminal import WRONG, console, fail, load_moderator, read_settings
from agent.concepts import load_bank
from agent.moderator import Moderator
from agent.policy import BASE, Policy, PolicyTest
from agent.policy_files import PolicyError, UnknownLocaleError, json_schema, load_policies, lookup
from agent.schema import ChatMessage, Detector, Verdict

app = typer.Typer(no_args_is_help=True, help="List, show, check, compare and test the policy files.")
app.command()(diff)

Locale = Annotated[str, typer.Argument(help="BCP-47 locale, such as de-DE; `base` is the parent of all.")]
Directory = Annotated[Path | None, typer.Option("--policies", help="Folder of policy files; else `policies_dir`.")]


@app.command("list")
def list_policies(policies: Directory = None) -> None:
    """One line for each policy: its rules, tests, version and parents.

    Example: propriety policy list --policies my-policies

    Exit status: 0 listed; 1 a file is wrong.
    """
    table = Table("locale", "title", "version", "rules", "tests", "from")
    for policy in _loaded(policies).values():
        counts = (str(len(policy.rules)), str(len(policy.tests)))
        table.add_row(policy.locale, policy.title, str(policy.version), *counts, " → ".join(policy.lineage[1:]))
    console.print(table)


@app.command()
def show(locale: Locale, policies: Directory = None) -> None:
    """Print a policy as resolved, its parents' rules included, as YAML.

    Example: propriety policy show ar-SA

    Exit status: 0 shown; 1 a file is wrong; 2 the locale is malformed or unregistered.
    """
    policy = _policy(_loaded(policies), locale)
    YAML(typ="safe").dump(policy.model_dump(mode="json"), sys.stdout)


@app.command()
def lint(policies: Directory = None) -> None:
    """Check every file; the first problem is printed with file, line and what was expected.

    Example: propriety policy lint --policies my-policies

    Exit status: 0 all are sound; 1 a file is wrong.
    """
    loaded = _loaded(policies)
    typer.echo(f"{len(loaded)} policies and the concept bank are sound")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a policy file, for editors.

    Example: propriety policy schema > policy.schema.json

    Exit status: 0.
    """
    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@app.command("test")
def run_tests(
    locale: Annotated[str | None, typer.Argument(help="One locale; else every one.")] = None,
    policies: Directory = None,
    detector: Annotated[Detector | None, typer.Option(help="Instead of the policy's own.")] = None,
) -> None:
    """Run the policies' own tests through the whole agent, and print those that come out otherwise.

    Example: propriety policy test ar-SA --detector nearest

    Exit status: 0 all pass; 1 some fail, or a file is wrong; 2 the locale is malformed or unregistered.
    """
    loaded = _loaded(policies)
    chosen = [_policy(loaded, locale)] if locale else list(loaded.values())
    settings = read_settings().model_copy(update={"policies_dir": policies} if policies else {})
    failed = asyncio.run(_run(load_moderator(settings), chosen, detector))
    total = sum(len(policy.tests) for policy in chosen)
    typer.echo(f"{total - failed} passed, {failed} failed")
    raise typer.Exit(1 if failed else 0)


async def _run(moderator: Moderator, policies: list[Policy], detector: Detector | None) -> int:
    failed = 0
    for policy, case in _cases(policies):
        # No locale resolves to base by name, so its tests are asked under a language that has no policy.
        locale = "en" if policy.locale == BASE else policy.locale
        verdict = await moderator.moderate([ChatMessage(role="user", content=case.prompt)], locale, detector)
        if not _met(case, verdict):
            failed += 1
            got = ", ".join([verdict.action.value, *(violation.rule_id for violation in verdict.violations)])
            wanted = f"{case.expect.action.value} {case.expect.rule or ''}".strip()
            console.print(f"{policy.locale}: {case.prompt!r}: expected {wanted}, got {got}", markup=False)
    return failed


def _cases(policies: list[Policy]) -> Iterator[tuple[Policy, PolicyTest]]:
    for policy in policies:
        for case in policy.tests:
            yield policy, case


def _met(case: PolicyTest, verdict: Verdict) -> bool:
    rules = {violation.rule_id for violation in verdict.violations}
    return verdict.action is case.expect.action and (case.expect.rule is None or case.expect.rule in rules)


def _loaded(policies: Path | None) -> dict[str, Policy]:
    directory = policies or read_settings().policies_dir
    try:
        load_bank(directory)
        return load_policies(directory)
    except PolicyError as error:
        fail(error, WRONG)


def _policy(policies: dict[str, Policy], locale: str) -> Policy:
    if locale == BASE:
        return policies[BASE]
    try:
        return lookup(policies, locale)[1]
    except UnknownLocaleError as error:
        fail(error)
