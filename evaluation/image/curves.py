"""Curves against τ_gc as SVG: one line per w_ξ, with intervals at its points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from evaluation.measures import Estimate

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 230, 150, 26, 20, 6, 24
COLOURS = ("#7f7f7f", "#1f77b4", "#17becf", "#2ca02c", "#ff7f0e", "#d62728", "#9467bd", "#8c564b")
Line = Sequence[tuple[float, Estimate]]
"""(τ_gc, measure), in ascending order of τ_gc."""


def curves(title: str, lines: Mapping[float, Line]) -> str:
    """An SVG of measures in [0, 1] against τ_gc in [0, 1]; `lines` by w_ξ, in ascending order."""
    marks = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(at):.1f}" y2="{_y(at):.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 4}" y="{_y(at) + 3:.1f}" text-anchor="end">{at:g}</text>'
        f'<text x="{_x(at):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{at:g}</text>'
        for at in (0, 0.5, 1)
    ]
    # Each line has larger dots than the next one, so that coinciding points show as rings.
    paths = [_line(line, colour_of(index), len(lines) - index + 1) for index, line in enumerate(lines.values())]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" font-size="9">'
        f'<text x="{LEFT}" y="12" font-size="11">{escape(title)}</text>{"".join(marks)}'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end">τ_gc</text>{"".join(paths)}</svg>'
    )


def colour_of(index: int) -> str:
    """The colour of the index-th w_ξ."""
    return COLOURS[index % len(COLOURS)]


def _line(line: Line, colour: str, radius: int) -> str:
    points = " ".join(f"{_x(tau):.1f},{_y(each.value):.1f}" for tau, each in line)
    whiskers = "".join(f"M{_x(tau):.1f} {_y(each.low):.1f}V{_y(each.high):.1f}" for tau, each in line)
    dots = "".join(f'<circle cx="{_x(tau):.1f}" cy="{_y(each.value):.1f}" r="{radius}"/>' for tau, each in line)
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'<path d="{whiskers}" stroke="{colour}" stroke-opacity=".4"/>'
        f'<g fill="{colour}">{dots}</g>'
    )


def _x(tau: float) -> float:
    return LEFT + tau * (WIDTH - LEFT - RIGHT)


def _y(value: float) -> float:
    return TOP + (1 - value) * (HEIGHT - TOP - BOTTOM)
