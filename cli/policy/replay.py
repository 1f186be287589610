"""`propriety policy replay`: what a changed policy would have decided on what was asked of late."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.table import Column, Table
from sqlalchemy.exc import SQLAlchemyError

from agent.moderator import BadPromptError, Moderator
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.policy.source import read_yaml
from agent.store.decisions import DecisionLog
from agent.store.sealing import HASHED, SealError
from agent.terminal.console import (
    INTERRUPTED,
    WRONG,
    console,
    duration,
    each,
    errors,
    fail,
    load_moderator,
    noted_once,
    read_policies,
    read_settings,
)
from cli.policy.diff import decided
from propriety.verdict import ChatMessage, Detector, Status, Verdict


def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The policy as it would be, in a file.")],
    since: Annotated[str, typer.Option(help="How far back: a number and m, h, d or w.")] = "7d",
    limit: Annotated[int, typer.Option(min=1, help="Different prompts at most, the newest first.")] = 1000,
    samples: Annotated[int, typer.Option(min=0, help="Changed decisions that are shown.")] = 20,
    detector: Annotated[Detector | None, typer.Option(help="Instead of the policies' own.")] = None,
) -> None:
    """Decide the logged prompts again under a changed policy, and show what would change. Nothing is served or logged.

    The file takes the place of the policy of its `locale`, in whatever inherits from that one too.

    Example: propriety policy replay drafts/ar-SA.yaml --since 7d

    Exit status: 0 replayed, whatever changes; 1 a policy or the decision log cannot be used; 2 an argument is wrong;
    130 interrupted.
    """
    settings, start = read_settings(), dt.datetime.now(dt.UTC) - duration(since, "--since")
    policies = read_policies(settings.policies_dir, instead=file)
    locale = str(read_yaml(file).data["locale"])
    try:
        log = DecisionLog(settings)
        logged = list(log.since(start))
        log.close()
    except (OSError, SQLAlchemyError, SealError) as error:
        fail(f"the decision log cannot be read: {error}", WRONG)
    unreadable = sum(verdict.prompt.startswith(HASHED) for verdict in logged)
    asked: dict[tuple[str, str], Verdict] = {}
    times = Counter[tuple[str, str]]()
    for verdict in logged:
        try:
            concerned = locale in lookup(policies, verdict.locale)[1].lineage
        except UnknownLocaleError:  # an audience that is gone
            continue
        if concerned and verdict.status is not Status.ERROR and not verdict.prompt.startswith(HASHED):
            key = (verdict.locale, verdict.prompt)
            times[key] += 1
            asked.setdefault(key, verdict)
    chosen = dict(list(asked.items())[:limit])
    with TemporaryDirectory() as folder:
        elsewhere = settings.model_copy(update={"database_url": f"sqlite:///{folder}/replay.db"})
        moderator = load_moderator(elsewhere, policies)
        try:
            with noted_once():
                again = asyncio.run(_again(moderator, chosen, detector))
        except KeyboardInterrupt:
            fail("interrupted; nothing was changed", INTERRUPTED)
    _print(chosen, again, times, locale, since, samples)
    if unreadable:
        errors.print(f"{unreadable} decisions were passed over, since their prompts are stored as hashes", style="red")
    if without := sum(verdict.status is Status.DEGRADED for verdict in again.values()):
        errors.print(f"{without} prompts were judged without the LLM, which did not answer", style="red")


async def _again(
    moderator: Moderator, asked: dict[tuple[str, str], Verdict], detector: Detector | None
) -> dict[tuple[str, str], Verdict]:
    again: dict[tuple[str, str], Verdict] = {}

    async def decide(key: tuple[str, str]) -> None:
        locale, prompt = key
        with suppress(BadPromptError):  # the limits have changed since
            again[key] = await moderator.moderate([ChatMessage(role="user", content=prompt)], locale, detector)

    await each("Replaying", list(asked), decide)
    return again


def _print(
    before: dict[tuple[str, str], Verdict],
    after: dict[tuple[str, str], Verdict],
    times: Counter[tuple[str, str]],
    locale: str,
    since: str,
    samples: int,
) -> None:
    changed = [key for key in after if before[key].action is not after[key].action]
    counts = Counter[tuple[str, str]]()
    for key in after:
        counts[before[key].action.value, after[key].action.value] += times[key]
    table = Table("was", "would be", "decisions", title=f"Under the new {locale}, of the last {since}")
    for (was, would), count in sorted(counts.items()):
        table.add_row(was, would, str(count), style=None if was == would else "bold")
    console.print(table)
    if changed[:samples]:
        shown = Table("locale", Column("prompt", overflow="fold"), "was", "would be", "times")
        for key in sorted(changed, key=lambda key: -times[key])[:samples]:
            shown.add_row(*key, decided(before[key]), decided(after[key]), str(times[key]))
        console.print(shown)
    console.print(f"{len(changed)} of {len(after)} different prompts would be decided otherwise")
