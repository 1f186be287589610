"""`propriety evaluate image`: what is drawn for unsafe prompts, by Propriety's method and by others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from agent.policy.lookup import UnknownLocaleError
from agent.terminal.console import INTERRUPTED, WRONG, console, errors, fail
from agent.terminal.journal import JournalError
from agent.terminal.loading import read_settings
from agent.terminal.offline import AllowDegraded, report_degraded
from cli.generate import QUIET
from evaluation.image.options import CONCEPT, STEPS, TAU_GC, WXI, Options
from propriety.drawing import MAX_IMAGES_AT_ONCE, Sampler, Variant


def _list(values: Any) -> str:
    return ", ".join(map(str, values))


def _one_of(literal: Any) -> Callable[[list[str] | None], list[str] | None]:
    """Rejects values that are not in the literal; typer does not support lists of literals."""

    def check(values: list[str] | None) -> list[str] | None:
        if wrong := next((value for value in values or [] if value not in get_args(literal)), None):
            raise typer.BadParameter(f"{wrong!r} is not one of {_list(get_args(literal))}")
        return values

    return check


def image(
    prompts: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV of unsafe prompts, such as I2P's.")],
    proximal: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="CSV of benign prompts near them, for SaDi.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="`demo`, a folder in diffusers' layout or a hub id; default: `generator_model`."),
    ] = None,
    locale: Annotated[
        str | None, typer.Option(help="Locale of the agent if a CSV has no `safe_prompt`; default: `default_locale`.")
    ] = None,
    wxi: Annotated[
        list[float] | None,
        typer.Option(min=0, max=1, help=f"w_ξ of dual latents; default: {_list(WXI)}. Repeatable."),
    ] = None,
    tau_gc: Annotated[
        list[float] | None,
        typer.Option(min=0, max=1, help=f"τ_gc of dual latents; default: {_list(TAU_GC)}. Repeatable."),
    ] = None,
    sampler: Annotated[
        list[str] | None,
        typer.Option(
            callback=_one_of(Sampler),
            help=f"{_list(get_args(Sampler))}; default: ddim, or the model's own. Repeatable.",
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            callback=_one_of(Variant),
            help=f"Variant of dual latents: {_list(get_args(Variant))}; default: coupled. Repeatable.",
        ),
    ] = None,
    concept: Annotated[str, typer.Option(help="What negative prompt, SLD and SAFREE steer away from.")] = CONCEPT,
    erased: Annotated[
        list[Path] | None,
        typer.Option(exists=True, file_okay=False, help="Model that has unlearned something, to compare. Repeatable."),
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(help="Detector, as `module:function`; default: the usual one of the model. Repeatable."),
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help="CLIP model, folder or hub id, to compare pictures with each other and prompts.")
    ] = None,
    inception: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Inception network in TorchScript, for FID.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Reference pictures for FID; with --inception.")
    ] = None,
    alpha1: Annotated[float, typer.Option(min=0, max=1, help="SaDi's α1; α2 is 1 - α1.")] = 0.5,
    steps: Annotated[int, typer.Option(min=1, max=150, help="Steps of the sampler.")] = STEPS,
    n: Annotated[int, typer.Option("--n", min=1, max=16, help="Pictures per row; the i-th has its seed + i.")] = 1,
    batch: Annotated[
        int, typer.Option(min=1, help="Maximum pictures drawn at once; hundreds of small ones fill a GPU.")
    ] = MAX_IMAGES_AT_ONCE,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first rows of each CSV; default: all.")] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Draw every N-th row, from the I-th on, without a report.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the intervals.")] = 0,
    allow_degraded: AllowDegraded = False,
    output: Annotated[Path, typer.Option(file_okay=False, help="Folder for pictures, journals and report.")] = Path(
        "out/evaluate-image"
    ),
) -> None:
    """Draw unsafe prompts plainly, by other safe methods and by dual latents; report what is unsafe and what is kept.

    Example: propriety evaluate image i2p.csv --proximal benign.csv --locale en-US --limit 100 --n 10 --output i2p

    A CSV needs a column `prompt`. I2P's columns for seed, guidance, size and categories are read, in both of its
    schemas. A column `safe_prompt` says what to draw instead (empty: the prompt as it is). Without it, the agent
    moderates the prompts, and logs its verdicts in the folder. The folder keeps all pictures: run the command again to
    continue. Shards share the folder; when all are done, the command without --shard makes the report. Needs the
    extras `generator` and `evaluate`.

    Exit status: 0 measured; 1 an extra is missing, prompts are degraded, or the folder or a model to measure with
    cannot be used; 2 an argument, a CSV, the locale, a policy, a detector or the model is wrong; 130 interrupted.
    """
    os.environ |= QUIET if errors.is_terminal else QUIET | {"TQDM_DISABLE": "1"}
    try:
        from agent.moderator import BadPromptError
        from evaluation.image.prompt_file import PromptFileError
        from evaluation.image.run import DetectorError, run
        from generator.method.schedule import UnsupportedPipelineError
        from generator.models import ModelNotFoundError
        from propriety.drawing import CannotDrawError
    except ImportError as error:
        fail(f"{error}: measuring needs extras; install them with `pip install 'propriety[evaluate,generator]'`", WRONG)
    if (inception is None) is not (reference is None):
        fail("--inception and --reference belong together; give both or neither")
    settings = read_settings()
    chosen: dict[str, Any] = {"samplers": sampler or [None], "variants": variant or ["coupled"]}
    options = Options(
        prompts=prompts,
        proximal=proximal,
        output=output,
        model=model or settings.generator_model,
        locale=locale or settings.default_locale,
        wxi=wxi or WXI,
        tau_gc=tau_gc or TAU_GC,
        concept=concept,
        erased=erased or [],
        detectors=detector or [],
        clip=clip,
        inception=inception,
        reference=reference,
        alpha1=alpha1,
        steps=steps,
        pictures_per_row=n,
        at_once=batch,
        limit=limit,
        shard=shard,
        seed=seed,
        **chosen,
    )
    try:
        degraded = run(options, settings)
    except DetectorError as error:
        fail(f"--detector: {error}")
    except (PromptFileError, JournalError, BadPromptError, UnknownLocaleError) as error:
        fail(error)
    except (ModelNotFoundError, CannotDrawError, UnsupportedPipelineError) as error:
        fail(error)
    except OSError as error:
        fail(f"the folder or a model to measure with cannot be used: {error}", WRONG)
    except KeyboardInterrupt:
        fail(f"interrupted; all pictures so far are in {output}; run the command again to continue", INTERRUPTED)
    if shard:
        console.print(f"shard {shard} is drawn; when all are, run the command without --shard to make the report")
    else:
        console.print(str(output / "report.md"), markup=False, highlight=False, soft_wrap=True)
    report_degraded(degraded, "prompts", allow_degraded)
