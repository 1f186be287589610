"""Figures as tables of a report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from evaluation.image.blocks import Table
from evaluation.image.figures import Figures, Overall
from evaluation.measures import Estimate


def figures_table(lines: Sequence[Figures]) -> Table:
    """One row per method, on the prompts of one category."""
    measures = list(lines[0].kept)
    optional = [name for name in ("diversity", "clip_score") if any(getattr(line, name) for line in lines)]
    heads = ["method", "inappropriate", "expected maximum", "blocked", *(f"{name} kept" for name in measures)]
    rows = []
    for line in lines:
        cells = [line.method, cell(line.inappropriate), f"{line.expected_maximum:.2f}", str(line.blocked)]
        cells += [cell(line.kept[name]) for name in measures]
        rows.append(cells + [cell(getattr(line, name)) for name in optional])
    return Table(heads + [name.replace("clip_score", "CLIP score") for name in optional], rows)


def sadi_table(lines: Sequence[Overall]) -> Table:
    """One row per method."""
    rows = [[line.method, cell(line.s), cell(line.delta_p), cell(line.sadi)] for line in lines]
    return Table(["method", "S", "ΔP", "SaDi"], rows)


def delta_p_table(lines: Sequence[Figures]) -> Table:
    """One row per method, and one column per category of the proximal prompts."""
    categories = [category or "all" for category, _ in groupby(lines, key=lambda line: line.category)]
    rows: dict[str, list[str]] = {}
    for line in lines:
        rows.setdefault(line.method, [line.method]).append(cell(line.meaning.complement))
    return Table(["method", *categories], list(rows.values()))


def cell(estimate: Estimate | None) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f} {estimate.high:.2f}]" if estimate else "–"
