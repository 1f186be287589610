"""`propriety policy replay`: what a changed policy would have decided on recent prompts."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from agent.authoring import replay as authoring
from agent.authoring.replay import Concerned, Replayed, concerned_by, transitions, unlogged
from agent.policy.model import Policy
from agent.policy.source import read_yaml
from agent.settings import Settings
from agent.terminal.console import INTERRUPTED, WRONG, console, duration, errors, fail
from agent.terminal.loading import load_moderator, read_policies, read_settings
from agent.terminal.offline import offline_work
from agent.terminal.progress import counting
from cli.policy.diff import decision
from propriety.verdict import Detector, Status


def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The changed policy file.")],
    since: Annotated[str, typer.Option(help="How far back: a number and m, h, d or w.")] = "7d",
    limit: Annotated[int, typer.Option(min=1, help="At most this many different prompts, the newest first.")] = 1000,
    samples: Annotated[int, typer.Option(min=0, help="How many changed decisions to show.")] = 20,
    detector: Annotated[Detector | None, typer.Option(help="Instead of the policies' own.")] = None,
) -> None:
    """Decide the logged prompts again under a changed policy, and show what would change. Nothing is served or logged.

    The file replaces the policy of its `locale`, also for the policies that inherit from it.

    Example: propriety policy replay drafts/ar-SA.yaml --since 7d

    Exit status: 0 replayed, whatever changes; 1 a policy or the decision log cannot be used; 2 an argument is wrong;
    130 interrupted.
    """
    settings, start = read_settings(), dt.datetime.now(dt.UTC) - duration(since, "--since")
    policies = read_policies(settings.policies_dir, instead=file)
    locale = str(read_yaml(file).data["locale"])
    concerned = _read_log(settings, start, locale, policies, limit)
    with unlogged(settings) as scratch:
        moderator = load_moderator(scratch, policies)
        try:
            with moderator.store, offline_work(), counting("Replaying", len(concerned.prompts)) as done:
                replayed = asyncio.run(authoring.replay(moderator, concerned.prompts, detector, done))
        except KeyboardInterrupt:
            fail("interrupted; nothing was changed", INTERRUPTED)
    _print(replayed, f"Under the new {locale}, in the last {since}", samples)
    if concerned.unreadable:
        errors.print(f"{concerned.unreadable} decisions were skipped: only a hash of the prompt is stored", style="red")
    if degraded := sum(prompt.after.status is Status.DEGRADED for prompt in replayed):
        errors.print(f"{degraded} prompts were judged without the LLM, which did not answer", style="red")


def _read_log(
    settings: Settings, start: dt.datetime, locale: str, policies: dict[str, Policy], limit: int
) -> Concerned:
    from sqlalchemy.exc import SQLAlchemyError

    from agent.store.sealing import SealError
    from agent.store.store import Store

    try:
        with Store(settings) as store:
            return concerned_by(locale, policies, store.decisions.since(start), limit)
    except (OSError, SQLAlchemyError, SealError) as error:
        fail(f"the decision log cannot be read: {error}", WRONG)


def _print(replayed: Sequence[Replayed], title: str, samples: int) -> None:
    table = Table("was", "would be", "decisions", title=title)
    for (was, would_be), count in sorted(transitions(replayed).items()):
        table.add_row(was.value, would_be.value, str(count), style=None if was is would_be else "bold")
    console.print(table)
    changed = sorted((prompt for prompt in replayed if prompt.changed), key=lambda prompt: -prompt.times)
    if changed[:samples]:
        table = Table("locale", Column("prompt", overflow="fold"), "was", "would be", "times")
        for prompt in changed[:samples]:
            decisions = decision(prompt.before), decision(prompt.after)
            table.add_row(prompt.before.locale, prompt.before.prompt, *decisions, str(prompt.times))
        console.print(table)
    console.print(f"{len(changed)} of {len(replayed)} different prompts would be decided differently")
