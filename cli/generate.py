"""`propriety generate`: judge, then draw in this process, with no server running."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from agent.terminal.console import BLOCKED, INTERRUPTED, WRONG, console, errors, fail
from propriety.drawing import CannotDrawError, DrawRequest
from propriety.verdict import Action, ChatMessage, Detector, Verdict

if TYPE_CHECKING:
    from agent.settings import Settings

QUIET = {"TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error"}  # users cannot fix what these warn of


def generate(
    prompt: Annotated[str, typer.Argument(help="What somebody wants drawn.")],
    locale: Annotated[
        str | None, typer.Option(help="BCP-47 locale, such as ar-SA; default: the setting `default_locale`.")
    ] = None,
    detector: Annotated[Detector | None, typer.Option(help="Use this instead of the policy's own.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="`demo`, a folder in diffusers' layout or a hub id; default: the setting `generator_model`."),
    ] = None,
    n: Annotated[int, typer.Option("--n", help="Number of pictures, 1 to 16, all under one verdict.")] = 1,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the first picture; each further one adds 1; default: random.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of the sampler, 1 to 150.")] = 25,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Pixels, multiples of 8; default: the model's own size.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder of the PNGs; default: the setting `output_dir`.")
    ] = None,
) -> None:
    """Judge a prompt, rewrite it if it offends, and draw what the verdict allows.

    Example: propriety generate --locale ar-SA --seed 7 "a woman holding a wine glass on a beach"

    Prints the verdict, the path of each picture, and the generator's notes on it. Drawing needs the extra `generator`,
    but no server. The judge asks the LLM if one runs; otherwise the neighbours decide, more strictly.

    Exit status: 0 drawn; 1 the extra is missing, or a picture cannot be saved; 2 an argument, the prompt, the locale, a
    policy or the model is wrong; 3 the prompt is blocked, or every picture came out unsafe; 130 interrupted.
    """
    from agent.policy.lookup import UnknownLocaleError
    from agent.prompt.compose import BadPromptError
    from agent.terminal.loading import load_moderator, read_settings
    from agent.terminal.output import print_verdict

    settings = read_settings()
    try:
        request = DrawRequest.model_validate({"prompt": prompt, "n": n, "seed": seed, "steps": steps, **_sides(size)})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fail(f"{first['loc'][0] if first['loc'] else 'seed'}: {first['msg'].removeprefix('Value error, ')}")
    try:
        moderator, message = load_moderator(settings), ChatMessage(role="user", content=prompt)
        with errors.status("Judging"):
            verdict = asyncio.run(moderator.moderate([message], locale, detector))
        print_verdict(verdict)
        if verdict.action is Action.BLOCK:
            raise typer.Exit(BLOCKED)
        _draw(request, verdict, settings, model or settings.generator_model, output or settings.output_dir)
    except (BadPromptError, UnknownLocaleError) as error:
        fail(error)
    except KeyboardInterrupt:
        fail("interrupted; the pictures so far are saved", INTERRUPTED)


def _sides(size: str | None) -> dict[str, Any]:
    if size is None:
        return {}
    width, times, height = size.lower().partition("x")
    if not times:
        raise typer.BadParameter(f"expected two numbers like 512x512, not {size}", param_hint="--size")
    return {"width": width, "height": height}


def _draw(request: DrawRequest, verdict: Verdict, settings: Settings, model: str, folder: Path) -> None:
    os.environ |= QUIET if errors.is_terminal else QUIET | {"TQDM_DISABLE": "1"}
    try:
        with errors.status("Loading the generator"):
            from generator.last_look import Blocked, detector_for, draw_checked
            from generator.models import ModelNotFoundError, load
            from generator.pipeline import batches, plan
            from propriety.pictures.provenance import Seal, facts
            from propriety.pictures.signer import SigningError
    except ImportError as error:
        fail(f"{error}: drawing needs an extra; install it with `pip install 'propriety[generator]'`", WRONG)
    order = DrawRequest.model_validate(request.model_dump() | verdict.for_the_generator())
    saved = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with errors.status(f"Loading {model}"):
            seal, pipe = Seal(settings.signing_cert, settings.signing_key), load(model)
            detector = detector_for(pipe)
        pipe.set_progress_bar_config(disable=not errors.is_terminal, desc="Drawing", leave=False)
        for batch in batches(plan(pipe, order)):
            for outcome in draw_checked(pipe, detector, batch):
                if not isinstance(outcome, Blocked):
                    path = folder / f"{verdict.locale}-{verdict.id[-8:]}-{outcome.parameters.seed}.png"
                    path.write_bytes(seal.png(outcome.image, facts(outcome.parameters, order)))
                    console.print(str(path), markup=False, highlight=False, soft_wrap=True)
                    saved = True
                for note in outcome.notes:
                    console.print(f"  {note}", markup=False, highlight=False, soft_wrap=True)
    except (ModelNotFoundError, CannotDrawError, SigningError) as error:
        fail(error)
    except OSError as error:
        fail(f"a picture cannot be saved: {error}", WRONG)
    if not saved:
        raise typer.Exit(BLOCKED)
