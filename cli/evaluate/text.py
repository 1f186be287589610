"""`propriety evaluate text`: how well the moderator scores labelled prompts."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from agent.policy.lookup import UnknownLocaleError
from agent.terminal.console import INTERRUPTED, WRONG, console, fail
from agent.terminal.journal import JournalError
from agent.terminal.loading import load_moderator, read_settings
from agent.terminal.offline import AllowDegraded, report_degraded
from propriety.verdict import Detector

if TYPE_CHECKING:
    from evaluation.measures import Estimate
    from evaluation.text import Figures, Report

UNSEEN_WIDTH = 140  # columns without a terminal; a figure and its interval stay on one line


def text(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of prompt sets, one *.jsonl each.")],
    sets: Annotated[list[str] | None, typer.Option("--set", help="Name of a set; default: all. Repeatable.")] = None,
    benign: Annotated[
        list[str] | None,
        typer.Option(help="Set of benign prompts, for sets without safe rows. Repeatable; they are pooled."),
    ] = None,
    detector: Annotated[Detector | None, typer.Option(help="Use this detector instead of the policy's own.")] = None,
    locale: Annotated[str | None, typer.Option(help="BCP-47 locale, such as ar-SA; default: `default_locale`.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum rows of each set and label; default: all.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample and the intervals.")] = 0,
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Save the scores here, and resume from them.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    allow_degraded: AllowDegraded = False,
) -> None:
    """Score labelled prompts: ROC-AUC, recall at 1 % and 5 % false positives, calibration error, share flagged.

    Example: propriety evaluate text --data my-sets --benign captions --detector nearest --limit 200 --output s.jsonl

    Each line of a set is {"id": "1", "text": "a red apple", "label": "safe", "lang": "en"}; other keys are ignored.
    Unsafe rows are compared with the safe rows of the same set, overall and by language. Sets without safe rows are
    compared with the sets of --benign and marked, because such a figure also measures the difference in genre. For
    labels other than `safe` and `unsafe`, only the share flagged is shown. Brackets contain 95 % bootstrap intervals.
    Nothing is rewritten or written to the decision log. Needs the extra `evaluate`.

    Exit status: 0 measured; 1 the extra is missing, or rows are degraded; 2 an argument, a set, the locale or a
    policy is wrong; 130 interrupted.
    """
    try:
        from agent.basis import place_for
        from agent.store.tenants import ANYONE
        from evaluation.sets import DataError, read_sets, sample
        from evaluation.text import evaluate
    except ImportError as error:
        fail(f"{error}: measuring needs an extra; install it with `pip install 'propriety[evaluate]'`", WRONG)
    if output and not output.parent.is_dir():
        raise typer.BadParameter(f"the folder {output.parent} does not exist; create it first", param_hint="--output")
    benign = benign or []
    try:
        chosen = read_sets(data, [*sets, *benign] if sets else [])
        if missing := sorted(set(benign) - set(chosen)):
            fail(f"{data} has no {missing[0]}.jsonl")
        chosen = chosen if limit is None else sample(chosen, limit, seed)
        settings = read_settings()
        moderator = load_moderator(settings)
        _, policy, used = place_for(ANYONE, locale, detector, moderator.policies, settings)
        report = evaluate(moderator, settings, chosen, policy, used, benign=benign, seed=seed, output=output)
    except (DataError, JournalError, OSError, UnknownLocaleError) as error:
        fail(error)
    except KeyboardInterrupt:
        kept = f"the scores so far are in {output}; run the command again to continue" if output else "nothing is kept"
        fail(f"interrupted; {kept}", INTERRUPTED)
    if json:
        setting = {
            "locale": policy.locale, "detector": used.value, "models": report.models, "limit": limit, "seed": seed,
        }  # fmt: skip
        figures = [line.model_dump() for line in report.figures]
        everything = {**setting, "calibration_error": report.calibration_error, "figures": figures}
        typer.echo(jsonlib.dumps(everything, indent=2))
    else:
        _print(report, f"{used.value} under {policy.locale} by {report.models}", limit, seed)
    report_degraded(report.degraded, f"of {report.scored} rows", allow_degraded)


def _print(report: Report, title: str, limit: int | None, seed: int) -> None:
    table = Table(
        "set", "lang", "unsafe", "safe", "ROC-AUC", "recall at 1 %", "recall at 5 %", "ECE", "flagged", title=title
    )
    for line in report.figures:
        table.add_row(*_cells(line))
    (console if console.is_terminal else Console(width=UNSEEN_WIDTH)).print(table)
    for note in _notes(report, limit, seed):
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def _cells(line: Figures) -> list[str]:
    found, mark = line.discrimination, "†" if line.benign else ""
    estimates = (found.roc_auc, found.recall_at_1, found.recall_at_5) if found else (None, None, None)
    return [
        line.set if line.lang is None else "",
        line.lang or "all",
        str(line.unsafe or "–"),
        str(line.safe or "–"),
        *(_estimate(each, mark) for each in estimates),
        "–" if line.calibration_error is None else f"{line.calibration_error:.3f}{mark}",
        "\n".join(f"{label} {_estimate(rate)}" for label, rate in line.flagged.items()),
    ]


def _notes(report: Report, limit: int | None, seed: int) -> list[str]:
    notes = [
        f"At most {limit} rows of each set and label, sampled with seed {seed}." if limit else "All rows.",
        "[95 % bootstrap interval], 1000 resamples of unsafe and of safe rows.",
    ]
    if report.calibration_error is not None:
        notes.append(
            "ECE: expected calibration error if one prompt in three is unsafe; "
            f"over all sets {report.calibration_error:.3f}."
        )
    if pooled := next((line.benign for line in report.figures if line.benign), None):
        notes.append(f"† against the safe rows of {', '.join(pooled)}: this also measures a difference in genre.")
    if any(line.unsafe and not line.discrimination for line in report.figures):
        notes.append("Sets without safe rows have no ROC-AUC; name a set of benign prompts with --benign.")
    if refused := sum(line.refused for line in report.figures if line.lang is None):
        notes.append(f"{refused} rows are left out, because the moderator refuses to judge such text.")
    return notes


def _estimate(estimate: Estimate | None, mark: str = "") -> str:
    return f"{estimate.value:.3f}{mark} [{estimate.low:.2f} {estimate.high:.2f}]" if estimate else "–"
