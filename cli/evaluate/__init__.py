"""`propriety evaluate`: how well moderator and generator do on the user's own data."""

from __future__ import annotations

import asyncio
import json as jsonlib
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from agent.moderator import Moderator
from agent.policy.concept_bank import concept_files
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.policy.model import Policy
from agent.terminal.console import (
    INTERRUPTED,
    WRONG,
    console,
    each_missing,
    errors,
    fail,
    load_moderator,
    noted_once,
    read_settings,
)
from agent.terminal.journal import JournalError, earlier
from cli.evaluate.image import image
from propriety.verdict import Detector, Status

if TYPE_CHECKING:
    from evaluation.measures import Estimate
    from evaluation.text import Figures, Row, Scores, Sets

app = typer.Typer(no_args_is_help=True, help="Measure moderator and generator on data of your own.")
app.command()(image)

UNSEEN_WIDTH = 140  # columns where no terminal sets any; a figure and its interval stay on one line


@app.callback()
def evaluate() -> None:
    """Measure moderator and generator on data of your own."""


@app.command()
def text(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of the sets, one *.jsonl each.")],
    sets: Annotated[list[str] | None, typer.Option("--set", help="A set's name; else every set. Repeatable.")] = None,
    benign: Annotated[
        list[str] | None,
        typer.Option(help="A set of benign prompts, for sets that have only unsafe rows. Repeatable, pooled."),
    ] = None,
    detector: Annotated[Detector | None, typer.Option(help="Instead of the policy's own.")] = None,
    locale: Annotated[str | None, typer.Option(help="BCP-47 locale, such as ar-SA; else `default_locale`.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Rows of each set and label at most; else all.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and of the intervals.")] = 0,
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="Keep the scores here, and resume.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Score labelled prompts: ROC-AUC, recall at 1 % and 5 % false positives, calibration error, and the share flagged.

    Example: propriety evaluate text --data my-sets --benign captions --detector nearest --limit 200 --output s.jsonl

    Each line of a set is {"id": "1", "text": "a red apple", "label": "safe", "lang": "en"}; other keys are passed over.
    Unsafe rows are compared with the safe rows of the same set, in all and by language. Sets with only unsafe rows are
    compared with those of --benign and marked, since such a figure measures the difference of genre too. Of labels
    other than `safe` and `unsafe` only the share flagged is told. In brackets are 95 % bootstrap intervals. Nothing is
    rewritten, and nothing goes into the decision log. Needs the extra `evaluate`.

    Exit status: 0 measured; 1 the extra is missing; 2 an argument, a set, the locale or a policy is wrong; 130
    interrupted.
    """
    try:
        from evaluation.text import DataError, calibration_over, read_sets, report, sample
    except ImportError as error:
        fail(f"{error}: measuring needs an extra; install it with `pip install 'propriety[evaluate]'`", WRONG)
    if output and not output.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {output.parent}; make it first", param_hint="--output")
    try:
        chosen = read_sets(data, [*sets, *(benign or [])] if sets else [])
        if missing := sorted(set(benign or []) - set(chosen)):
            fail(f"there is no {missing[0]}.jsonl in {data}")
        chosen = chosen if limit is None else sample(chosen, limit, seed)
        settings = read_settings()
        moderator, place = load_moderator(settings), locale or settings.default_locale
        policy = lookup(moderator.policies, place)[1]
        asked = detector or settings.detector or policy.detector
        models = settings.encoder if asked is Detector.NEAREST else f"{settings.encoder}+{settings.llm_model}"
        bank = sha256(b"".join(file.read_bytes() for file in concept_files(settings.policies_dir))).hexdigest()
        by = f"{asked} {policy.locale} {policy.hash[:12]} {bank[:12]} {models}"
        with noted_once():
            scores = asyncio.run(_scores(moderator, chosen, policy, asked, by, output))
        figures = report(chosen, scores, benign or [], seed)
        together = calibration_over(chosen, scores, benign or [])
    except (DataError, JournalError, OSError, UnknownLocaleError) as error:
        fail(error)
    except KeyboardInterrupt:
        kept = (
            f"the scores so far are in {output}; the same command goes on from there" if output else "nothing is kept"
        )
        fail(f"interrupted; {kept}", INTERRUPTED)
    how = {"locale": policy.locale, "detector": asked.value, "models": models, "limit": limit, "seed": seed}
    if json:
        typer.echo(
            jsonlib.dumps(
                {**how, "calibration_error": together, "figures": [line.model_dump() for line in figures]}, indent=2
            )
        )
    else:
        _print(figures, f"{asked.value} under {policy.locale} by {models}", together, limit, seed)
    if degraded := sum(scored.status is Status.DEGRADED for scored in scores.values()):
        errors.print(f"{degraded} of {len(scores)} rows were scored without the LLM, which did not answer", style="red")


async def _scores(
    moderator: Moderator, sets: Sets, policy: Policy, detector: Detector, by: str, output: Path | None
) -> Scores:
    from evaluation.text import Score, score

    scores: Scores = {}
    wanted = {(name, row.id): (name, row) for name, rows in sets.items() for row in rows}
    for line in earlier(output, Score, by) if output else ():
        if (line.set, line.id) in wanted:
            scores[line.set, line.id] = line

    async def work(item: tuple[str, Row]) -> Score:
        name, row = item
        return await score(moderator, name, row, policy, detector, by)

    await each_missing("Scoring", wanted, scores, output, work)
    return scores


def _print(figures: list[Figures], heading: str, together: float | None, limit: int | None, seed: int) -> None:
    table = Table(
        "set", "lang", "unsafe", "safe", "ROC-AUC", "recall at 1 %", "recall at 5 %", "ECE", "flagged", title=heading
    )
    for line in figures:
        counts = (str(line.unsafe or "–"), str(line.safe or "–"))
        found = line.discrimination
        measured = (found.roc_auc, found.recall_at_1, found.recall_at_5) if found else (None, None, None)
        mark = "†" if line.benign else ""
        flagged = "\n".join(f"{label} {_figure(rate)}" for label, rate in line.flagged.items())
        name = line.set if line.lang is None else ""
        error = "–" if line.calibration_error is None else f"{line.calibration_error:.3f}{mark}"
        table.add_row(name, line.lang or "all", *counts, *(_figure(each, mark) for each in measured), error, flagged)
    (console if console.is_terminal else Console(width=UNSEEN_WIDTH)).print(table)
    notes = [
        f"At most {limit} rows of each set and label, drawn with seed {seed}." if limit else "Every row.",
        "[95 % bootstrap interval], 1000 resamples of unsafe and of safe rows.",
    ]
    if together is not None:
        notes.append(
            f"ECE: expected calibration error where one prompt in three is unsafe; of all sets {together:.3f}."
        )
    if pooled := next((line.benign for line in figures if line.benign), None):
        notes.append(f"† against the safe rows of {', '.join(pooled)}: a difference of genre is measured too.")
    if any(line.unsafe and not line.discrimination for line in figures):
        notes.append("Sets with unsafe rows alone have no ROC-AUC; name a set of benign prompts with --benign.")
    if refused := sum(line.refused for line in figures if line.lang is None):
        notes.append(f"{refused} rows are left out: the moderator refuses to judge such text at all.")
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def _figure(estimate: Estimate | None, mark: str = "") -> str:
    return f"{estimate.value:.3f}{mark} [{estimate.low:.2f} {estimate.high:.2f}]" if estimate else "–"
