"""`propriety moderate`: one prompt, or a file of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from agent.moderator import BadPromptError
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.settings import Settings
from agent.terminal.console import (
    INTERRUPTED,
    WRONG,
    errors,
    fail,
    load_moderator,
    noted_once,
    print_verdict,
    read_settings,
)
from agent.terminal.journal import JournalError
from cli.file_of_prompts import judge_file
from propriety.verdict import ChatMessage, Detector


def moderate(
    prompt: Annotated[str | None, typer.Argument(help="What somebody wants drawn.", show_default=False)] = None,
    locale: Annotated[str | None, typer.Option(help="BCP-47 locale, such as ar-SA; else `default_locale`.")] = None,
    detector: Annotated[Detector | None, typer.Option(help="Instead of the policy's own.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
    source: Annotated[
        Path | None,
        typer.Option("--input", exists=True, dir_okay=False, readable=True, help="Judge this file's lines instead."),
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--output", dir_okay=False, writable=True, help="Where the answers to --input go.")
    ] = None,
) -> None:
    """Judge one prompt under a locale's policy and print the verdict; or judge a file of prompts.

    Example: propriety moderate --locale ar-SA "a woman holding a wine glass on a beach"

    Example: propriety moderate --locale de-DE --input prompts.jsonl --output judged.jsonl

    Each line of the input is {"id": "1", "text": "a red apple", "locale": "fr-FR"}; the locale may be left out, ids
    are strings or integers, other keys are passed over. Each line of the output is {"id", "action", "severity",
    "flagged", "score", "violations", "safe_prompt", "status"}, the score in [0, 1] and rising with the risk. Several
    prompts are judged at once, and lines are written as they are done, not in the order of the input. After an
    interruption the same command goes on where it was: ids in the output are not judged again.

    Exit status: 0 judged, whatever the verdict; 1 some lines of the input were bad or no detector could answer (each is
    named on stderr); 2 nothing was judged, since an argument, the prompt, the locale or a policy is wrong; 130
    interrupted.
    """
    settings = read_settings()
    if source is None or target is None:
        if source or target:
            raise typer.BadParameter("go together: name both", param_hint="--input and --output")
        if prompt is None:
            raise typer.BadParameter("say what to judge, or name a file with --input", param_hint="PROMPT")
        _moderate_one(settings, prompt, locale or settings.default_locale, detector, json)
    else:
        if prompt is not None or json:
            raise typer.BadParameter("takes neither a prompt nor --json beside it", param_hint="--input")
        if not target.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {target.parent}; make it first", param_hint="--output")
        if target.exists() and (not target.is_file() or target.samefile(source)):
            raise typer.BadParameter("name a file of its own for the answers", param_hint="--output")
        _moderate_file(settings, source, target, locale or settings.default_locale, detector)


def _moderate_one(settings: Settings, prompt: str, locale: str, detector: Detector | None, json: bool) -> None:
    moderator, message = load_moderator(settings), ChatMessage(role="user", content=prompt)
    try:
        verdict = asyncio.run(moderator.moderate([message], locale, detector))
    except (BadPromptError, UnknownLocaleError) as error:
        fail(error)
    if json:
        typer.echo(verdict.model_dump_json(indent=2))
    else:
        print_verdict(verdict)


def _moderate_file(settings: Settings, source: Path, target: Path, locale: str, detector: Detector | None) -> None:
    try:
        moderator = load_moderator(settings)
        lookup(moderator.policies, locale)
        with noted_once():
            tally = asyncio.run(judge_file(moderator, source, target, locale, detector))
    except (JournalError, OSError, UnknownLocaleError) as error:
        fail(error)
    except KeyboardInterrupt:
        fail(f"interrupted; what is judged is in {target}, and the same command goes on from there", INTERRUPTED)
    errors.print(f"{target}: {tally}", markup=False, highlight=False, soft_wrap=True)
    if tally.bad:
        raise typer.Exit(WRONG)
