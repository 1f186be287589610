"""Text moderation on labelled prompt sets: score each row, then report by set and language."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agent.moderator import BadPromptError, Moderator
from agent.policy.concept_bank import concept_files
from agent.policy.model import Policy
from agent.settings import Settings
from agent.terminal.journal import earlier
from agent.terminal.offline import offline_work
from agent.terminal.progress import each_missing
from evaluation.measures import (
    Discrimination,
    Estimate,
    calibration_weights,
    discrimination,
    expected_calibration_error,
    share,
)
from evaluation.sets import Id, Row, Sets
from propriety.verdict import Detector, Probability, Status, Strict


class Score(Strict):
    """The moderator's score of a row; null if it refused the text. `by` names the detector, policy and models."""

    set: str
    id: Id
    score: Probability | None
    flagged: bool
    status: Status
    by: str


Scores = dict[tuple[str, str | int], Score]


class Figures(Strict):
    """One line of the report.

    lang: null for a whole set.
    benign: the other sets whose safe rows the unsafe rows were compared with; empty if the set has safe rows.
    calibration_error: of the score, as if one prompt in three were unsafe.
    """

    set: str
    lang: str | None
    rows: int
    unsafe: int
    safe: int
    refused: int
    benign: list[str]
    discrimination: Discrimination | None
    calibration_error: Probability | None
    flagged: dict[str, Estimate]


class Report(NamedTuple):
    """`calibration_error` is over all sets; `degraded` counts the rows that were scored without the LLM."""

    models: str
    figures: list[Figures]
    calibration_error: float | None
    scored: int
    degraded: int


def evaluate(
    moderator: Moderator,
    settings: Settings,
    sets: Sets,
    policy: Policy,
    detector: Detector,
    *,
    benign: list[str],
    seed: int,
    output: Path | None,
) -> Report:
    """Score every row under one policy with one detector, and report.

    Args:
        benign: sets whose safe rows are compared with the unsafe rows of sets without safe rows.
        seed: of the intervals.
        output: file of scores; existing ones are not computed again.

    Raises:
        JournalError: `output` contains other lines, or scores by another detector, policy or model.
    """
    models = settings.encoder if detector is Detector.NEAREST else f"{settings.encoder}+{settings.llm_model}"
    bank = sha256(b"".join(file.read_bytes() for file in concept_files(settings.policies_dir))).hexdigest()
    by = f"{detector} {policy.locale} {policy.hash[:12]} {bank[:12]} {models}"
    with offline_work():
        scores = asyncio.run(score_all(moderator, sets, policy, detector, by, output))
    degraded = sum(score.status is Status.DEGRADED for score in scores.values())
    error = calibration_over(sets, scores, benign)
    return Report(models, figures(sets, scores, benign, seed), error, len(scores), degraded)


async def score_all(
    moderator: Moderator, sets: Sets, policy: Policy, detector: Detector, by: str, output: Path | None
) -> Scores:
    """A score for each row. Scores in the file `output` are reused, and new ones are appended to it."""
    items = {(name, row.id): (name, row) for name, rows in sets.items() for row in rows}
    kept = earlier(output, Score, by) if output else []
    scores: Scores = {
        (line.set, line.id): line
        for line in kept
        if (line.set, line.id) in items and line.status is not Status.DEGRADED  # scored again
    }

    async def score(item: tuple[str, Row]) -> Score:
        name, row = item
        try:
            reading = await moderator.read(row.text, policy, detector)
        except BadPromptError:
            return Score(set=name, id=row.id, score=None, flagged=False, status=Status.ERROR, by=by)
        flagged = bool(reading.violations)
        return Score(set=name, id=row.id, score=reading.score, flagged=flagged, status=reading.status, by=by)

    await each_missing("Scoring", items, scores, output, score)
    return scores


def figures(sets: Sets, scores: Scores, benign: list[str], seed: int) -> list[Figures]:
    """Figures for each set, and for each of its languages if it has several.

    Unsafe rows are compared with the safe rows of the same set and language. If there are none, they are compared with
    the pooled safe rows of the sets `benign`. Those differ in more than safety, so the figures name them.
    """
    pool = _values("safe", [(name, row) for name in benign for row in sets[name]], scores)
    lines = []
    for name, rows in sets.items():
        languages = sorted({row.lang for row in rows})
        for lang in [None, *languages] if len(languages) > 1 else [None]:
            chosen = [(name, row) for row in rows if lang in (None, row.lang)]
            lines.append(_figures(name, lang, chosen, scores, (benign, pool), seed))
    return lines


def _figures(
    name: str,
    lang: str | None,
    rows: list[tuple[str, Row]],
    scores: Scores,
    benign: tuple[list[str], list[float]],
    seed: int,
) -> Figures:
    unsafe, safe = _values("unsafe", rows, scores), _values("safe", rows, scores)
    names, pool = ([], safe) if safe or not unsafe else benign
    flags = defaultdict(list)
    for _, row in rows:
        if (score := scores[name, row.id]).score is not None:
            flags[row.label].append(score.flagged)
    return Figures(
        set=name,
        lang=lang,
        rows=len(rows),
        unsafe=len(unsafe),
        safe=len(safe),
        refused=sum(scores[name, row.id].score is None for _, row in rows),
        benign=names,
        discrimination=discrimination(np.array(unsafe), np.array(pool), seed) if unsafe and pool else None,
        calibration_error=_calibration_error([(unsafe, pool)]),
        flagged={label: share(flagged, seed) for label, flagged in sorted(flags.items())},
    )


def calibration_over(sets: Sets, scores: Scores, benign: list[str]) -> float | None:
    """The calibration error over all sets, each with the same weight; None if no set can be compared."""
    pool = _values("safe", [(name, row) for name in benign for row in sets[name]], scores)
    pairs = []
    for name, rows in sets.items():
        unsafe, safe = (_values(label, [(name, row) for row in rows], scores) for label in ("unsafe", "safe"))
        pairs.append((unsafe, safe or pool))
    return _calibration_error(pairs)


def _calibration_error(pairs: list[tuple[list[float], list[float]]]) -> float | None:
    """Of the (unsafe, safe) scores of each set. A set without one or the other is skipped."""
    risks, outcomes, weights = [], [], []
    for unsafe, safe in pairs:
        if unsafe and safe:
            true = np.repeat([True, False], [len(unsafe), len(safe)])
            risks.append(np.array([*unsafe, *safe]))
            outcomes.append(true)
            weights.append(calibration_weights(true) / len(true))
    if not risks:
        return None
    return expected_calibration_error(np.concatenate(risks), np.concatenate(outcomes), np.concatenate(weights))


def _values(label: str, rows: list[tuple[str, Row]], scores: Scores) -> list[float]:
    values = (scores[name, row.id].score for name, row in rows if row.label == label)
    return [value for value in values if value is not None]
