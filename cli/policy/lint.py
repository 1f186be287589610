"""`propriety policy lint`: what is wrong in the policy files, and what is unsound in them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from agent.authoring.lint import lint_by_reading, lint_texts
from agent.judge.errors import LLMUnavailableError
from agent.policy.concept_bank import load_bank
from agent.policy.source import read_yaml
from agent.terminal.console import console, fail
from agent.terminal.loading import load_moderator, policy_of, read_policies, read_settings
from agent.terminal.offline import offline_work
from agent.terminal.progress import counting


def lint(
    locale: Annotated[str | None, typer.Argument(help="One locale, or a policy file; default: all locales.")] = None,
    policies: Annotated[
        Path | None, typer.Option("--policies", help="Folder of policy files; default: the setting `policies_dir`.")
    ] = None,
    judge: Annotated[
        bool, typer.Option("--judge", help="Ask the LLM too: one or two seconds for each example and safe concept.")
    ] = False,
) -> None:
    """Check the policy files, and the concept bank.

    If a file does not load, its first error is shown with the line and what was expected, and nothing else is checked.
    Otherwise these are found:

    - rules that no test expects
    - tests whose prompt is in the concept bank or among the examples, and so proves nothing
    - messages that are missing in the place's language
    - phrases that are both safe and unsafe
    - safe concepts that break a rule of the same policy
    - with --judge, examples that the LLM contradicts; it is not shown the example that it is asked about

    A file takes the place of the policy of its `locale` in the folder.

    Example: propriety policy lint ar-SA --judge

    Example: propriety policy lint drafts/ar-SA.yaml

    Exit status: 0 nothing found; 1 a file is wrong or unsound; 2 the locale is malformed or unregistered, the file
    does not exist, or the LLM does not answer.
    """
    draft = Path(locale) if locale and Path(locale).is_file() else None
    if locale and not draft and Path(locale).suffix in (".yaml", ".yml"):
        fail(f"there is no file {locale}; correct its path, or name a locale")
    loaded = read_policies(policies, instead=draft)
    if draft:
        locale = str(read_yaml(draft).data["locale"])
    chosen = [policy_of(loaded, locale)] if locale else [policy for policy in loaded.values() if not policy.audience]
    settings = read_settings(policies)
    moderator, bank = load_moderator(settings, loaded), load_bank(settings.policies_dir)
    findings = [finding for policy in chosen for finding in lint_texts(policy, loaded, bank)]
    try:
        with offline_work(), counting("Checking", len(chosen)) as done:
            findings += asyncio.run(lint_by_reading(moderator, chosen, judge, done))
    except LLMUnavailableError as error:
        fail(f"{error}; start an LLM with `propriety serve llm`, or leave out --judge")
    if findings:
        table = Table("policy", Column("where", overflow="fold"), Column("problem", overflow="fold"))
        for finding in findings:
            table.add_row(*finding)
        console.print(table)
    typer.echo(f"{len(chosen)} policies and the concept bank load; {len(findings)} findings")
    raise typer.Exit(1 if findings else 0)
