"""A whole image evaluation: read prompts, get safe prompts, draw, measure and report.

All that is drawn and decided is kept in the output folder, so that an interrupted evaluation can continue.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

from agent.settings import Settings
from agent.terminal.console import errors
from agent.terminal.journal import append, earlier
from agent.terminal.progress import progress_bar
from evaluation.image.case import Case
from evaluation.image.drawing import Inspector, draw_missing
from evaluation.image.fid import Fid
from evaluation.image.figures import distances, figures, overall
from evaluation.image.gallery import Gallery, Measurement, Measurements, pictures_of
from evaluation.image.methods import Method, methods_of
from evaluation.image.options import Options
from evaluation.image.prompt_file import read_rows, shard_of
from evaluation.image.report import Report, Setting, settings_of, write
from evaluation.image.safe_prompts import cases_of, from_agent, from_file
from evaluation.image.similarity import similarity_for
from generator.models import load, model_name
from propriety.pictures.detector import Detector
from propriety.verdict import Status

DEMO_DETECTOR, DETECTOR = "generator.demo_model.detector:demo_detector", "propriety.pictures.detector:opennsfw"


class DetectorError(ValueError):
    """A name does not lead to a function that makes a detector."""


class Prompts(NamedTuple):
    """The cases of a prompt file, where their safe prompts come from, and how many lack the LLM's decision."""

    cases: list[Case]
    source: str
    degraded: int


class Models(NamedTuple):
    """What draws and measures."""

    pipe: Any
    detectors: list[str]
    inspector: Inspector
    methods: list[Method]
    fid: Fid | None


def run(options: Options, settings: Settings) -> int:
    """Draw and measure what is missing. Unless it is a shard, write the report.

    Returns:
        The number of prompts that were moderated without the LLM.

    Raises:
        PromptFileError, JournalError, BadPromptError, UnknownLocaleError, ModelNotFoundError, CannotDrawError,
            UnsupportedPipelineError, DetectorError: what the message names is wrong.
        OSError: the folder or a model to measure with cannot be used.
    """
    unsafe = prepare_prompts(options.prompts, options, settings)
    benign = prepare_prompts(options.proximal, options, settings) if options.proximal else Prompts([], "", 0)
    with errors.status("Loading the generator"):
        models = load_models(options)
    measurements = draw(options, models, [*unsafe.cases, *benign.cases])
    if not options.shard:
        gallery = Gallery(models.methods, options.steps, options.output, measurements)
        write(report(options, models, gallery, unsafe, benign), gallery, unsafe.cases, options.output)
    return unsafe.degraded + benign.degraded


def prepare_prompts(path: Path, options: Options, settings: Settings) -> Prompts:
    """The cases of a prompt file. If it has no column `safe_prompt`, the agent moderates each prompt."""
    rows, has_safe_prompts = read_rows(path)
    rows = shard_of(rows[: options.limit], options.shard or "1/1")
    options.output.mkdir(parents=True, exist_ok=True)
    if has_safe_prompts:
        safe_prompts, source = from_file(rows), "from the file"
    else:
        safe_prompts, by = from_agent(rows, settings, options.locale, options.output, _suffix(options))
        source = f"from the agent under {by}"
    degraded = sum(each.status is not Status.OK for each in safe_prompts.values())
    cases = cases_of(rows, safe_prompts, options.pictures_per_row)
    return Prompts(cases, f"{path.name}: {source}", degraded)


def load_models(options: Options) -> Models:
    pipe = load(options.model)
    name = model_name(pipe)
    detectors = list(options.detectors) or [DEMO_DETECTOR if name == "demo" else DETECTOR]
    parts = [name, ", ".join(detectors), options.concept, options.clip, *map(str, options.erased)]
    by = "; ".join(part for part in parts if part)
    inspector = Inspector(load_detectors(detectors), similarity_for(pipe, options.clip), by)
    fid = Fid(options.inception, options.reference, pipe.device) if options.inception and options.reference else None
    erased = {path.name: load(str(path)) for path in options.erased}
    methods = methods_of(pipe, options.wxi, options.tau_gc, options.concept, options.samplers, options.variants, erased)
    return Models(pipe, detectors, inspector, methods, fid)


def load_detectors(names: Sequence[str]) -> list[Detector]:
    """The detectors that the functions `module:function` return."""
    try:
        return [resolve_name(name)() for name in names]
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise DetectorError(f"{error}; name a function that makes a detector, as package.module:function") from error


def draw(options: Options, models: Models, cases: Sequence[Case]) -> Measurements:
    """The measurements of all pictures; those that are missing are drawn and measured, behind a progress bar."""
    journal = options.output / f"pictures{_suffix(options)}.jsonl"
    journals = [journal] if options.shard else sorted(options.output.glob("pictures*.jsonl"))
    known = [line for path in journals for line in earlier(path, Measurement, models.inspector.by)]
    measurements = {line.picture: line for line in known}
    pictures = pictures_of(models.methods, cases, options.steps)
    with progress_bar("Drawing") as progress, journal.open("ab") as file:
        task = progress.add_task("", total=len(pictures), completed=len(pictures & measurements.keys()))

        def keep(line: Measurement) -> None:
            append(file, line)
            progress.advance(task)

        draw_missing(
            models.pipe,
            models.methods,
            cases,
            options.steps,
            models.inspector,
            options.output,
            measurements,
            keep,
            options.at_once,
        )
    return measurements


def report(options: Options, models: Models, gallery: Gallery, unsafe: Prompts, benign: Prompts) -> Report:
    samplers = [str(sampler) for sampler in options.samplers if sampler] or [type(models.pipe.scheduler).__name__]
    setting = Setting(
        prompts=f"{options.prompts.name}, {len({case.row for case in unsafe.cases})} rows",
        proximal=list(dict.fromkeys(case.row.prompt for case in benign.cases)),
        model=model_name(models.pipe),
        sampler=", ".join(samplers),
        steps=options.steps,
        pictures_per_row=options.pictures_per_row,
        detectors=models.detectors,
        concept=options.concept,
        safe_prompts="; ".join(prompts.source for prompts in (unsafe, benign) if prompts.source),
        degraded=unsafe.degraded + benign.degraded,
        alpha1=options.alpha1,
    )
    seed, fid = options.seed, models.fid
    return Report(
        setting=setting,
        ways=settings_of(models.methods),
        figures=figures(gallery, unsafe.cases, seed),
        proximal=figures(gallery, benign.cases, seed) if benign.cases else [],
        wholes=overall(gallery, unsafe.cases, benign.cases, options.alpha1, seed) if benign.cases else [],
        fid=distances(gallery, benign.cases or unsafe.cases, fid) if fid else {},
    )


def _suffix(options: Options) -> str:
    """Of file names, so that shards do not share a file."""
    return f"-{options.shard.replace('/', '-of-')}" if options.shard else ""
