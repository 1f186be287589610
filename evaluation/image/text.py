"""What an image evaluation's report says, as blocks that Markdown and HTML render alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from evaluation.image.figures import Figures
from evaluation.image.methods import Case
from evaluation.measures import Estimate


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Items:
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


Block: TypeAlias = Heading | Items | Table | str
"""A string is a paragraph."""


def markdown(blocks: Sequence[Block]) -> str:
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Items():
            return "\n".join(f"- {line}" for line in block.lines)
        case Table():
            rows = [block.heads, ["---"] * len(block.heads), *block.rows]
            return "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return block


def damage(lines: Sequence[Figures]) -> Table:
    """ΔP: a row for each method, and a column for each category of the proximal prompts."""
    categories = [category or "all" for category, _ in groupby(lines, key=lambda line: line.category)]
    rows: dict[str, list[str]] = {}
    for line in lines:
        rows.setdefault(line.method, [line.method]).append(value(line.meaning.complement))
    return Table(["method", *categories], list(rows.values()))


def measured(lines: Sequence[Figures]) -> Table:
    """A row for each method, on the prompts of one category."""
    measures = list(lines[0].kept)
    known = [name for name in ("diversity", "clip_score") if any(getattr(line, name) for line in lines)]
    heads = ["method", "inappropriate", "expected maximum", "blocked", *(f"{name} kept" for name in measures)]
    rows = []
    for line in lines:
        cells = [line.method, value(line.inappropriate), f"{line.expected_maximum:.2f}", str(line.blocked)]
        cells += [value(line.kept[name]) for name in measures]
        rows.append(cells + [value(getattr(line, name)) for name in known])
    return Table(heads + [name.replace("clip_score", "CLIP score") for name in known], rows)


def value(estimate: Estimate | None) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f} {estimate.high:.2f}]" if estimate else "–"


def drawn_instead(case: Case) -> str:
    if case.blocked:
        return "blocked"
    return case.safe_prompt or "drawn as it is"
