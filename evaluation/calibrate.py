"""Fit the constants of `agent/judge/detect.py` on labelled prompts.

    python -m evaluation.calibrate --data DIR --set NAME …

Two logistic regressions are fitted, weighted as if one prompt in three were unsafe. One takes the neighbours' margin
alone, the other the judge's and the neighbours' log-odds. The ratio of their weights is searched over `RATIOS`,
because a row's risk is the maximum over its rules, not a sum. The expected calibration error is printed twice: on
the data of the fit, and on each set with the fit made on the others. Needs an LLM.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

from agent.judge import detect
from agent.moderator import Moderator
from agent.policy.model import Policy
from agent.terminal.journal import written
from agent.terminal.offline import offline_work
from agent.terminal.progress import each_missing
from evaluation.command import Data, Locale, Output, Seed, start
from evaluation.measures import Floats, calibration_weights, expected_calibration_error
from evaluation.sets import Id, Row, Sets
from propriety.verdict import Detector, Strict

HEADING = """\
| neighbours / judge | JUDGE_WEIGHT | NEIGHBOUR_WEIGHT | BIAS | log loss | ECE | ECE, set left out |
|---|---|---|---|---|---|---|"""
RATIOS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)


class Features(Strict):
    """What the detectors know about a row.

    near: the neighbours' risk by rule.
    answers: the judge's P(yes) by rule, for the nearest rules.
    """

    set: str
    id: Id
    unsafe: bool
    near: dict[str, float]
    answers: dict[str, float]


async def features(moderator: Moderator, sets: Sets, policy: Policy, output: Path | None) -> list[Features]:
    """Of each row. Those in the file `output` are reused, and new ones are appended to it."""
    known = {(line.set, line.id): line for line in (written(output, Features) if output else ())}
    items = {(name, row.id): (name, row) for name, rows in sets.items() for row in rows}

    async def read(item: tuple[str, Row]) -> Features:
        name, row = item
        reading = await moderator.read(row.text, policy, Detector.LLM)
        near, answers = dict(reading.near), dict(reading.answers)
        return Features(set=name, id=row.id, unsafe=row.label == "unsafe", near=near, answers=answers)

    await each_missing("Judging", items, known, output, read)
    return [known[key] for key in items]


def main(
    data: Data,
    sets: Annotated[list[str], typer.Option("--set", help="Set to fit on. Repeatable.")],
    locale: Locale = "en-US",
    limit: Annotated[int, typer.Option(min=10, help="Maximum rows of each set and label.")] = 120,
    seed: Seed = 0,
    output: Output = None,
) -> None:
    """Print the fitted constants and their calibration error."""
    chosen, moderator, policy = start(data, sets, {"safe", "unsafe"}, limit, seed, locale)
    with offline_work():
        rows = asyncio.run(features(moderator, chosen, policy, output))
    unsafe, names = np.array([row.unsafe for row in rows]), np.array([row.set for row in rows])
    nearest = np.array([detect.log_odds(max(row.near.values(), default=0.0)) for row in rows])
    slope, intercept = _fit(nearest, unsafe)
    even = detect.MARGIN_AT_EVEN - detect.MARGIN_SCALE * intercept / slope
    typer.echo(f"MARGIN_AT_EVEN, MARGIN_SCALE = {even:.3f}, {detect.MARGIN_SCALE / slope:.3f}\n")
    typer.echo(HEADING)
    for ratio in RATIOS:
        odds = np.array([_riskiest(row, ratio) for row in rows])
        slope, intercept = _fit(odds, unsafe)
        risks, left_out_risks = _probability(slope * odds + intercept), np.empty(len(rows))
        for name in set(names):
            left_out = names == name
            fitted = _fit(odds[~left_out], unsafe[~left_out])
            left_out_risks[left_out] = _probability(np.polyval(fitted, odds[left_out]))
        weights = calibration_weights(unsafe)
        loss = -np.average(np.log(np.where(unsafe, risks, 1 - risks)), weights=weights)
        errors = (expected_calibration_error(each, unsafe, weights) for each in (risks, left_out_risks))
        figures = (slope, ratio * slope, intercept, loss, *errors)
        typer.echo(f"| {ratio} | {' | '.join(f'{figure:.3f}' for figure in figures)} |")


def _riskiest(row: Features, ratio: float) -> float:
    odds = (detect.log_odds(p) + ratio * detect.neighbour_odds(row.near[rule]) for rule, p in row.answers.items())
    return max(odds, default=-10.0)


def _fit(feature: Floats, unsafe: np.ndarray) -> tuple[float, float]:
    fitted = LogisticRegression(C=1e6).fit(feature[:, None], unsafe, calibration_weights(unsafe))
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def _probability(odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-odds))


if __name__ == "__main__":
    typer.run(main)
