"""Text moderation measured on the user's own prompt sets: read, sample, score, and report per set and language.

A set is a JSON Lines file of {"id", "text", "label", "lang"}. Only the labels `safe` and `unsafe` say what is right; of
any other (`probe`, `contested`, ...) just the share that is flagged is told.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError

from agent.moderator import BadPromptError, Moderator
from agent.policy.model import Policy
from evaluation.measures import (
    Discrimination,
    Estimate,
    calibration_weights,
    discrimination,
    expected_calibration_error,
    share,
)
from propriety.verdict import Detector, Probability, Status, Strict

Id = StrictStr | StrictInt


class DataError(ValueError):
    """A set that cannot be measured: there is none of that name, or a line of it is wrong."""


class Row(BaseModel):
    """One prompt of a set; data sets carry columns of their own, which are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Id
    text: StrictStr
    label: StrictStr
    lang: StrictStr = "und"


class Score(Strict):
    """What the moderator made of a row; no score where it refuses the text. `by` names policy, detector and models."""

    set: str
    id: Id
    score: Probability | None
    flagged: bool
    status: Status
    by: str


class Figures(Strict):
    """One line of the report; `lang` is null for a whole set, `benign` names foreign safe rows compared with.

    `calibration_error` is that of the score, as if one prompt in three were unsafe.
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


Sets = dict[str, list[Row]]
Scores = dict[tuple[str, str | int], Score]


def read_sets(directory: Path, names: Iterable[str]) -> Sets:
    """The named sets of a folder by name; all of them where none is named.

    Raises:
        DataError: with file and line.
    """
    there = {path.stem: path for path in sorted(directory.glob("*.jsonl"))}
    chosen = list(dict.fromkeys(names)) or list(there)
    for name in chosen:
        if name not in there:
            raise DataError(f"there is no {name}.jsonl in {directory}, but: {', '.join(there) or 'no set at all'}")
    if not chosen:
        raise DataError(f"there is no *.jsonl in {directory}")
    return {name: _read(there[name]) for name in chosen}


def sample(sets: Sets, limit: int, seed: int) -> Sets:
    """At most `limit` rows of each set and label, the same ones for the same seed, whatever other sets there are."""
    sampled: Sets = {}
    for name, rows in sets.items():
        by_label = defaultdict(list)
        for row in rows:
            by_label[row.label].append(row)
        sampled[name] = [
            row
            for label, those in sorted(by_label.items())
            for row in random.Random(f"{seed} {name} {label}").sample(those, min(limit, len(those)))
        ]
    return sampled


async def score(moderator: Moderator, name: str, row: Row, policy: Policy, detector: Detector, by: str) -> Score:
    """Judge one row of the set `name` without rewriting or logging it."""
    try:
        reading = await moderator.read(row.text, policy, detector)
    except BadPromptError:
        return Score(set=name, id=row.id, score=None, flagged=False, status=Status.ERROR, by=by)
    flagged = bool(reading.violations)
    return Score(set=name, id=row.id, score=reading.score, flagged=flagged, status=reading.status, by=by)


def report(sets: Sets, scores: Scores, benign: list[str], seed: int) -> list[Figures]:
    """Figures for each set, and for each of its languages where it has several.

    Unsafe rows are compared with the safe rows of the same set and language. Where there are none they are compared
    with the pooled safe rows of the sets `benign`, which differ from them in more than safety: their figures say so.
    """
    pool = _values("safe", [(name, row) for name in benign for row in sets[name]], scores)
    figures = []
    for name, rows in sets.items():
        languages = sorted({row.lang for row in rows})
        for lang in [None, *languages] if len(languages) > 1 else [None]:
            those = [(name, row) for row in rows if lang in (None, row.lang)]
            figures.append(_figures(name, lang, those, scores, (benign, pool), seed))
    return figures


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
        if (scored := scores[name, row.id]).score is not None:
            flags[row.label].append(scored.flagged)
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
        flagged={label: share(those, seed) for label, those in sorted(flags.items())},
    )


def calibration_over(sets: Sets, scores: Scores, benign: list[str]) -> float | None:
    """The calibration error over the sets together, each weighing the same; None where nothing can be compared."""
    pool = _values("safe", [(name, row) for name in benign for row in sets[name]], scores)
    pairs = []
    for name, rows in sets.items():
        unsafe, safe = (_values(label, [(name, row) for row in rows], scores) for label in ("unsafe", "safe"))
        pairs.append((unsafe, safe or pool))
    return _calibration_error(pairs)


def _calibration_error(pairs: list[tuple[list[float], list[float]]]) -> float | None:
    """Of the unsafe and the safe rows' scores of each set; a set that lacks either is passed over."""
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
    found = (scores[name, row.id].score for name, row in rows if row.label == label)
    return [value for value in found if value is not None]


def _read(path: Path) -> list[Row]:
    rows, seen = [], set()
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip()
            if not text:
                continue
            try:
                row = Row.model_validate_json(text)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                place = f"{first['loc'][0]}: " if first["loc"] else ""
                raise DataError(f"{path}:{number}: {place}{first['msg']}") from None
            if row.id in seen:
                raise DataError(f"{path}:{number}: id: {row.id!r} is there already; each row needs its own")
            seen.add(row.id)
            rows.append(row)
    return rows
