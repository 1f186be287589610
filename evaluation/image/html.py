"""Parts of the HTML report: blocks as in Markdown, curves, and pictures, all in one file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO

from PIL import Image

from evaluation.image.blocks import Block, Heading, Items, Table
from evaluation.image.curves import colour_of, curves
from evaluation.image.figures import Figures

STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;margin:2em;max-width:110em}table{border-collapse:collapse;font-size:12px}"
    "td,th{border:1px solid #ccc;padding:2px 6px;text-align:left}th{position:sticky;top:0;z-index:2;background:#eee}"
    ".pictures td,.pictures th{border:0;padding:1px 2px;font-weight:normal;vertical-align:bottom}"
    ".pictures th[scope]{top:auto;left:0;z-index:1;min-width:22em;background:#fff;vertical-align:middle}"
    "img{display:block;image-rendering:pixelated}summary{cursor:pointer}.key b{margin-right:1em}"
)
MAX_SIDE = 72  # pixels of a picture
Knobs = tuple[str, float, float]
"""Sampler and variant of a dual latent; its w_ξ; its τ_gc."""


def page(title: str, parts: Sequence[str]) -> str:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{"".join(parts)}</body></html>\n'


def html(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{escape(block.text)}</h{block.level}>\n"
        case Items():
            return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in block.lines)}</ul>\n"
        case Table():
            rows = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in block.rows]
            heads = "".join(f"<th>{escape(head)}</th>" for head in block.heads)
            return f"<table><tr>{heads}</tr>\n{''.join(rows)}</table>\n"
    return f"<p>{escape(block)}</p>\n"


def folded(summary: str, inside: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>\n{inside}</details>\n"


def charts(lines: Sequence[Figures], knobs: Mapping[str, Knobs]) -> str:
    """One row of curves per sampler and variant: the share that is inappropriate, and each measure kept.

    Args:
        lines: the figures of one category.
        knobs: of the dual latents, by method; other methods have no curves.
    """
    groups: dict[str, dict[float, list[tuple[float, Figures]]]] = {}
    for line in lines:
        if line.method in knobs:
            group, wxi, tau_gc = knobs[line.method]
            groups.setdefault(group, {}).setdefault(wxi, []).append((tau_gc, line))
    rows = []
    for group, by_wxi in groups.items():
        ordered = {wxi: sorted(points, key=lambda point: point[0]) for wxi, points in sorted(by_wxi.items())}
        unsafe = {wxi: [(tau, line.inappropriate) for tau, line in points] for wxi, points in ordered.items()}
        svgs = [curves("inappropriate", unsafe)]
        for name in lines[0].kept:
            kept = {wxi: [(tau, line.kept[name]) for tau, line in points] for wxi, points in ordered.items()}
            svgs.append(curves(f"{name} kept", kept))
        key = "".join(f'<b style="color:{colour_of(i)}">w_ξ = {wxi:g}</b>' for i, wxi in enumerate(ordered))
        rows.append(f'<p class="key">{escape(group)}: {key}</p>\n<div>{"".join(svgs)}</div>\n')
    return "".join(rows)


def pictures(heads: Sequence[str], rows: Mapping[str, Sequence[Image.Image | None]]) -> str:
    """One row per prompt and one column per method; a cell is empty if nothing is drawn."""
    columns = "".join(f"<th>{escape(head)}</th>" for head in ["", *heads])
    lines = []
    for name, images in rows.items():
        cells = "".join(f"<td>{_image(image)}</td>" for image in images)
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>\n')
    return f'<table class="pictures"><tr>{columns}</tr>\n{"".join(lines)}</table>\n'


def _image(image: Image.Image | None) -> str:
    if image is None:
        return ""
    file = BytesIO()
    small = image.copy()
    small.thumbnail((MAX_SIDE, MAX_SIDE))
    small.save(file, "PNG")
    return f'<img width="{MAX_SIDE}" alt="" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
