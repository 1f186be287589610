"""`propriety evaluate image`: what is drawn for unsafe prompts, by Propriety's method and by others."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from agent.moderator import BadPromptError
from agent.policy.lookup import UnknownLocaleError
from agent.terminal.console import INTERRUPTED, WRONG, console, errors, fail, progress_bar, read_settings
from agent.terminal.journal import JournalError, append, earlier
from cli.evaluate.safe_prompts import Rewritten, asked, in_file
from cli.generate import QUIET
from propriety.drawing import IMAGES_AT_ONCE, Sampler, Variant
from propriety.verdict import Status

if TYPE_CHECKING:
    from evaluation.image.methods import Case
    from evaluation.image.rows import Row
    from propriety.pictures.detector import Detector

DEMO_DETECTOR, DETECTOR = "generator.demo_model.detector:demo_detector", "propriety.pictures.detector:opennsfw"
WXI, TAU_GC = [0.5, 0.75, 0.95], [0.1, 0.2, 0.4]
CONCEPT = "hate, harassment, violence, blood, self-harm, nudity, sexual acts, drugs, weapons, crime"


def _names(literal: Any) -> str:
    return ", ".join(get_args(literal))


def _one_of(literal: Any) -> Callable[[list[str] | None], list[str] | None]:
    """Refuses what is none of the literal's values; typer takes no list of literals."""

    def check(values: list[str] | None) -> list[str] | None:
        if wrong := next((value for value in values or [] if value not in get_args(literal)), None):
            raise typer.BadParameter(f"{wrong!r} is none of {_names(literal)}")
        return values

    return check


def image(
    prompts: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV of unsafe prompts, such as I2P's.")],
    proximal: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="CSV of benign prompts near them, for SaDi.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="`demo`, a folder in diffusers' layout or a hub id; else `generator_model`.")
    ] = None,
    locale: Annotated[
        str | None, typer.Option(help="The agent's locale where a CSV has no `safe_prompt`; else `default_locale`.")
    ] = None,
    wxi: Annotated[list[float] | None, typer.Option(min=0, max=1, help="w_ξ of dual latents. Repeatable.")] = None,
    tau_gc: Annotated[list[float] | None, typer.Option(min=0, max=1, help="τ_gc of dual latents. Repeatable.")] = None,
    sampler: Annotated[
        list[str] | None,
        typer.Option(callback=_one_of(Sampler), help=f"{_names(Sampler)}; else the usual. Repeatable."),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(callback=_one_of(Variant), help=f"Of dual latents: {_names(Variant)}; else coupled. Repeatable."),
    ] = None,
    concept: Annotated[str, typer.Option(help="What negative prompt, SLD and SAFREE steer away from.")] = CONCEPT,
    erased: Annotated[
        list[Path] | None,
        typer.Option(exists=True, file_okay=False, help="Model that has unlearned something, to compare. Repeatable."),
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(help="`module:function` of a detector, instead of the model's usual. Repeatable."),
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help="CLIP model, folder or hub id, to compare pictures, and with their prompts.")
    ] = None,
    inception: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Inception network in TorchScript, for FID.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Pictures to measure FID from; with --inception.")
    ] = None,
    alpha1: Annotated[float, typer.Option(min=0, max=1, help="SaDi's α1; α2 is 1 - α1.")] = 0.5,
    steps: Annotated[int, typer.Option(min=1, max=150, help="Steps of the sampler.")] = 25,
    n: Annotated[int, typer.Option("--n", min=1, max=16, help="Pictures of a row; the i-th takes its seed + i.")] = 1,
    batch: Annotated[
        int, typer.Option(min=1, help="Pictures drawn at once; hundreds of small ones fill a GPU.")
    ] = IMAGES_AT_ONCE,
    limit: Annotated[int | None, typer.Option(min=1, help="The first rows of each CSV; else all.")] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Draw every N-th row from the I-th on, and report nothing.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals.")] = 0,
    output: Annotated[Path, typer.Option(file_okay=False, help="Folder of pictures, journals and report.")] = Path(
        "out/evaluate-image"
    ),
) -> None:
    """Draw unsafe prompts plainly, by other safe methods and by dual latents, and report what is unsafe and what stays.

    Example: propriety evaluate image i2p.csv --proximal benign.csv --locale en-US --limit 100 --n 10 --output i2p

    A CSV needs a column `prompt`; I2P's columns, in both of its schemas, say seed, guidance, size and categories. A
    column `safe_prompt` says what to draw instead (empty: drawn as it is); without one the agent is asked, whose
    verdicts go into a decision log in the folder. The folder holds what is drawn: the same command goes on from there.
    Shards share the folder; when all are done, the command without --shard makes the report. Needs the extras
    `generator` and `evaluate`.

    Exit status: 0 measured; 1 an extra is missing, or the folder or a model to measure with cannot be used; 2 an
    argument, a CSV, the locale, a policy, a detector or the model is wrong; 130 interrupted.
    """
    os.environ |= QUIET if errors.is_terminal else QUIET | {"TQDM_DISABLE": "1"}
    try:
        from evaluation.image.fid import Fid
        from evaluation.image.figures import distances, figures, wholes
        from evaluation.image.likeness import likeness
        from evaluation.image.look import Eyes, Gallery, Looked, draw_all, pictures
        from evaluation.image.methods import methods
        from evaluation.image.report import Report, Setting, told, write
        from evaluation.image.rows import RowsError, read_rows, sharded
        from generator.method.schedule import UnsupportedPipelineError
        from generator.pipeline import ModelNotFoundError, load, model_name
        from propriety.drawing import CannotDrawError
    except ImportError as error:
        fail(f"{error}: measuring needs extras; install them with `pip install 'propriety[evaluate,generator]'`", WRONG)
    if (inception is None) is not (reference is None):
        fail("--inception and --reference are given together, or neither is")
    settings, degraded, part = read_settings(), 0, f"-{shard.replace('/', '-of-')}" if shard else ""
    try:
        sets: list[list[Case]] = []
        sources = []
        for path in filter(None, (prompts, proximal)):
            rows, prepared = read_rows(path)
            rows = sharded(rows[:limit], shard or "1/1")
            output.mkdir(parents=True, exist_ok=True)
            said, source = (in_file(rows), "from the file") if prepared else asked(rows, settings, locale, output, part)
            sets.append(_cases(rows, said, n))
            degraded += sum(one.status is not Status.OK for one in said.values())
            sources.append(f"{path.name}: {source}")
        unsafe, benign = sets[0], sets[1] if proximal else []
        with errors.status("Loading the generator"):
            pipe = load(model or settings.generator_model)
            names = detector or [DEMO_DETECTOR if model_name(pipe) == "demo" else DETECTOR]
            by = "; ".join(filter(None, [model_name(pipe), ", ".join(names), concept, clip, *map(str, erased or [])]))
            fid = Fid(inception, reference, pipe.device) if inception and reference else None
            eyes = Eyes(_made(names), likeness(pipe, clip), by)
            others = {path.name: load(str(path)) for path in erased or []}
        how: Any = {"erased": others, "samplers": sampler or [None], "variants": variant or ["coupled"]}
        ways = methods(pipe, wxi or WXI, tau_gc or TAU_GC, concept, **how)
        journal = output / f"pictures{part}.jsonl"
        journals = [journal] if shard else sorted(output.glob("pictures*.jsonl"))
        seen = {line.picture: line for path in journals for line in earlier(path, Looked, by)}
        wanted = pictures(ways, [*unsafe, *benign], steps)
        with progress_bar("Drawing") as progress, journal.open("ab") as file:
            task = progress.add_task("", total=len(wanted), completed=len(wanted & seen.keys()))

            def keep(line: Looked) -> None:
                append(file, line)
                progress.advance(task)

            draw_all(pipe, ways, [*unsafe, *benign], steps, eyes, output, seen, keep, batch)
        if shard:
            console.print(f"shard {shard} is drawn; when all are, the same command without --shard makes the report")
            raise typer.Exit
        gallery = Gallery(ways, steps, output, seen)
        setting = Setting(
            prompts=f"{prompts.name}, {len({case.row for case in unsafe})} rows",
            proximal=list(dict.fromkeys(case.row.prompt for case in benign)),
            model=model_name(pipe),
            sampler=", ".join(sampler or [type(pipe.scheduler).__name__]),
            steps=steps,
            pictures_per_row=n,
            detectors=names,
            concept=concept,
            safe_prompts="; ".join(sources),
            degraded=degraded,
            alpha1=alpha1,
        )
        totals = wholes(gallery, unsafe, benign, alpha1, seed) if benign else []
        report = Report(
            setting=setting,
            ways=told(ways),
            figures=figures(gallery, unsafe, seed),
            proximal=figures(gallery, benign, seed) if benign else [],
            wholes=totals,
            fid=distances(gallery, benign or unsafe, fid) if fid else {},
        )
        write(report, gallery, unsafe, output)
    except (RowsError, JournalError, BadPromptError, UnknownLocaleError, ModelNotFoundError) as error:
        fail(error)
    except (CannotDrawError, UnsupportedPipelineError) as error:
        fail(error)
    except OSError as error:
        fail(f"the folder or a model to measure with cannot be used: {error}", WRONG)
    except KeyboardInterrupt:
        fail(f"interrupted; what is drawn is in {output}, and the same command goes on from there", INTERRUPTED)
    console.print(str(output / "report.md"), markup=False, highlight=False, soft_wrap=True)
    if degraded:
        errors.print(f"{degraded} prompts were moderated without the LLM, which did not answer", style="red")


def _cases(rows: Sequence[Row], said: dict[str, Rewritten], n: int) -> list[Case]:
    from evaluation.image.methods import Case

    cases = []
    for row in rows:
        safe = said[row.id].safe_prompt
        changed = None if safe == row.prompt else safe
        cases += [Case(row, (row.seed + i) % 2**32, changed, blocked=safe is None) for i in range(n)]
    return cases


def _made(names: Sequence[str]) -> list[Detector]:
    try:
        return [resolve_name(name)() for name in names]
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        fail(f"--detector: {error}; name a function that makes a detector, as package.module:function")
