"""`propriety policy diff`: what changes for a platform that moves from one place to another."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from agent.authoring.diff import Effect, compare_decisions, compare_rules
from agent.policy.model import Policy
from agent.prompt.compose import BadPromptError
from agent.terminal.console import console, fail
from agent.terminal.loading import load_moderator, policy_of, read_settings
from agent.terminal.progress import counting
from propriety.text_files import EncodingError, read_utf8
from propriety.verdict import Detector, Verdict

if TYPE_CHECKING:
    from agent.moderator import Moderator


def diff(
    before: Annotated[str, typer.Argument(help="BCP-47 locale to move from, such as de-DE, or `base`.")],
    after: Annotated[str, typer.Argument(help="BCP-47 locale to move to, such as ar-SA.")],
    prompts: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="File of prompts, one per line: show which decisions differ."),
    ] = None,
    detector: Annotated[Detector | None, typer.Option(help="For --prompts, instead of the policies' own.")] = None,
) -> None:
    """Compare two policies: rules that one of them lacks, and rules whose severity, action or wording differs.

    With --prompts, judge each line of a file under both policies, and show the prompts whose action differs.

    Example: propriety policy diff de-DE ar-SA --prompts prompts.txt --detector nearest

    Exit status: 0 compared, whatever differs; 1 a policy cannot be used; 2 a locale or the file is wrong.
    """
    moderator = load_moderator(read_settings())
    left, right = (policy_of(moderator.policies, locale) for locale in (before, after))
    table = Table(Column("rule", overflow="fold"), left.locale, right.locale, "differs in")
    for rule in compare_rules(left, right):
        table.add_row(rule.rule_id, _shown(rule.before), _shown(rule.after), ", ".join(rule.differs_in))
    console.print(table if table.row_count else f"{left.locale} and {right.locale} have the same rules")
    if prompts is not None:
        _show_decisions(moderator, prompts, left, right, detector)


def _show_decisions(moderator: Moderator, path: Path, before: Policy, after: Policy, detector: Detector | None) -> None:
    try:
        prompts = [line.strip() for line in read_utf8(path).split("\n") if line.strip()]
        with counting("Judging", len(prompts)) as done:
            differences = asyncio.run(compare_decisions(moderator, prompts, before.tag, after.tag, detector, done))
    except EncodingError as error:
        fail(f"{path}:{error.line}: {error}")
    except (OSError, BadPromptError) as error:
        fail(f"{path}: {error}")
    table = Table(Column("prompt", overflow="fold"), before.locale, after.locale)
    for difference in differences:
        table.add_row(difference.prompt, decision(difference.before), decision(difference.after))
    console.print(table)
    console.print(f"{len(differences)} of {len(prompts)} prompts are decided differently")


def decision(verdict: Verdict) -> str:
    """The action, and the rules that the prompt breaks."""
    rules = ", ".join(violation.rule_id for violation in verdict.violations)
    return f"{verdict.action.value} ({rules})" if rules else verdict.action.value


def _shown(effect: Effect | None) -> str:
    return "–" if effect is None else f"{effect.severity.value}, {effect.action.value}"
