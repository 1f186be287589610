"""ROC-AUC before and after each obfuscation: `python -m evaluation.obfuscation --data DIR --set NAME`.

The unsafe and the safe rows of each set are both obfuscated. `cascade` and `llm` need an LLM. With `--output` a run
resumes where the last one ended, and can add obfuscations to it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from agent.moderator import BadPromptError, Moderator
from agent.policy.model import Policy
from agent.terminal.console import fail
from agent.terminal.journal import JournalError, earlier
from agent.terminal.offline import offline_work
from agent.terminal.progress import each_missing
from evaluation.command import Data, Locale, Output, Seed, start
from evaluation.measures import Floats, roc_auc
from evaluation.obfuscations import OBFUSCATIONS
from evaluation.sets import Id, Row, Sets
from propriety.verdict import Detector, Status, Strict

PLAIN = "plain"


class Score(Strict):
    """The risk of a row under an obfuscation, 0 to 1. A text that the moderator refuses has risk 1."""

    how: str
    set: str
    id: Id
    risk: float
    by: str


Scores = dict[tuple[str, str, Id], Score]


async def score_all(
    moderator: Moderator, sets: Sets, names: list[str], policy: Policy, detector: Detector, output: Path | None
) -> Scores:
    """A score of each row under each obfuscation. Those in the file `output` are reused, and new ones are appended."""
    by = f"{detector} {policy.locale} {policy.hash[:12]}"
    scores = {(line.how, line.set, line.id): line for line in (earlier(output, Score, by) if output else ())}
    items = {(how, name, row.id): (how, name, row) for how in names for name, rows in sets.items() for row in rows}

    async def score(item: tuple[str, str, Row]) -> Score:
        how, name, row = item
        text = row.text if how == PLAIN else OBFUSCATIONS[how](row.text)
        try:
            reading = await moderator.read(text, policy, detector)
            risk = reading.score if reading.status is not Status.ERROR else 1.0
        except BadPromptError:
            risk = 1.0
        return Score(how=how, set=name, id=row.id, risk=risk, by=by)

    await each_missing("Scoring", items, scores, output, score)
    return scores


def main(
    data: Data,
    sets: Annotated[list[str], typer.Option("--set", help="Set with safe and unsafe rows. Repeatable.")],
    obfuscation: Annotated[list[str] | None, typer.Option(help="One obfuscation; default: all. Repeatable.")] = None,
    detector: Annotated[Detector, typer.Option(help="Detector to measure.")] = Detector.CASCADE,
    locale: Locale = "en-US",
    limit: Annotated[int, typer.Option(min=2, help="Maximum rows of each set and label.")] = 30,
    seed: Seed = 0,
    output: Output = None,
) -> None:
    """Print ROC-AUC before and after each obfuscation, the mean over the sets, and the share flagged, as Markdown."""
    names = obfuscation or list(OBFUSCATIONS)
    if unknown := [name for name in names if name not in OBFUSCATIONS]:
        raise typer.BadParameter(f"{unknown[0]!r} is not one of {', '.join(OBFUSCATIONS)}", param_hint="--obfuscation")
    chosen, moderator, policy = start(data, sets, {"safe", "unsafe"}, limit, seed, locale)
    try:
        with offline_work():
            scores = asyncio.run(score_all(moderator, chosen, [PLAIN, *names], policy, detector, output))
    except JournalError as error:
        fail(error)
    typer.echo(
        f"| {detector.value} under {locale} | ROC-AUC | lost | flagged unsafe | flagged safe |\n|---|---|---|---|---|"
    )
    before = _auc(scores, PLAIN, chosen)
    for how in [PLAIN, *names]:
        auc = _auc(scores, how, chosen)
        shares = [
            np.mean(np.concatenate([_risks(scores, how, name, rows, label) for name, rows in chosen.items()]) >= 0.5)
            for label in ("unsafe", "safe")
        ]
        typer.echo(f"| {how} | {auc:.3f} | {before - auc:+.3f} | {shares[0]:.2f} | {shares[1]:.2f} |")


def _risks(scores: Scores, how: str, name: str, rows: list[Row], label: str) -> Floats:
    return np.array([scores[how, name, row.id].risk for row in rows if row.label == label])


def _auc(scores: Scores, how: str, sets: Sets) -> float:
    """The mean over the sets of the ROC-AUC between a set's own unsafe and safe rows."""
    pairs = ([_risks(scores, how, name, rows, label) for label in ("unsafe", "safe")] for name, rows in sets.items())
    return float(np.mean([roc_auc(*pair) for pair in pairs]))


if __name__ == "__main__":
    typer.run(main)
