"""`propriety policy diff`: what changes for a platform that moves from one place to another."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from agent.moderator import BadPromptError, Moderator
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.policy.model import Policy, Rule
from agent.terminal.console import console, fail, load_moderator, progress_bar, read_settings
from propriety.verdict import ChatMessage, Detector, Verdict

COMPARED = ("category", "definition", "exceptions", "topics")


def diff(
    before: Annotated[str, typer.Argument(help="BCP-47 locale that is left, such as de-DE.")],
    after: Annotated[str, typer.Argument(help="BCP-47 locale that is moved to, such as ar-SA.")],
    prompts: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A prompt a line: show the decisions that differ.")
    ] = None,
    detector: Annotated[Detector | None, typer.Option(help="For --prompts, instead of the policies' own.")] = None,
) -> None:
    """Compare two policies: the rules of one alone, and those whose severity, action or wording differs.

    Example: propriety policy diff de-DE ar-SA --prompts prompts.txt --detector nearest

    Exit status: 0 compared, whatever differs; 1 a policy cannot be used; 2 a locale or the file is wrong.
    """
    settings = read_settings()
    moderator = load_moderator(settings)
    try:
        left, right = (lookup(moderator.policies, locale)[1] for locale in (before, after))
    except UnknownLocaleError as error:
        fail(error)
    table = Table(Column("rule", overflow="fold"), left.locale, right.locale, "differs in")
    for name in sorted(left.rules_by_id | right.rules_by_id):
        pair = left.rules_by_id.get(name), right.rules_by_id.get(name)
        if differences := _differences(*pair, left, right):
            table.add_row(name, _effect(pair[0], left), _effect(pair[1], right), ", ".join(differences))
    console.print(table if table.row_count else f"{left.locale} and {right.locale} decide by the same rules")
    if prompts is None:
        return
    try:
        texts = [line.strip() for line in prompts.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{prompts}: {error}")
    try:
        asyncio.run(_decisions(moderator, texts, (before, after), detector))
    except BadPromptError as error:
        fail(f"{prompts}: {error}")


def _effect(rule: Rule | None, policy: Policy) -> str:
    return f"{rule.severity.value}, {policy.severities[rule.severity].action.value}" if rule else "–"


def _differences(old: Rule | None, new: Rule | None, left: Policy, right: Policy) -> list[str]:
    if old is None or new is None:
        return ["rule added" if old is None else "rule dropped"]
    effect = ["effect"] if _effect(old, left) != _effect(new, right) else []
    return effect + [name for name in COMPARED if getattr(old, name) != getattr(new, name)]


async def _decisions(
    moderator: Moderator, texts: list[str], locales: tuple[str, str], detector: Detector | None
) -> None:
    table = Table("prompt", *locales)
    with progress_bar("Judging") as progress:
        for text in progress.track(texts):
            message = ChatMessage(role="user", content=text)
            pair = [await moderator.moderate([message], locale, detector) for locale in locales]
            if pair[0].action is not pair[1].action:
                table.add_row(text, *map(decided, pair))
    console.print(table)
    console.print(f"{table.row_count} of {len(texts)} prompts are decided otherwise")


def decided(verdict: Verdict) -> str:
    """The action and the rules that are broken, in a few words."""
    rules = ", ".join(violation.rule_id for violation in verdict.violations)
    return f"{verdict.action.value} ({rules})" if rules else verdict.action.value
