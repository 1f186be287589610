"""`propriety moderate`: judge one prompt, or a file of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.terminal.console import INTERRUPTED, WRONG, errors, fail
from agent.terminal.offline import AllowDegraded, offline_work, report_degraded
from propriety.verdict import ChatMessage, Detector, Verdict

if TYPE_CHECKING:
    from agent.settings import Settings


def moderate(
    prompt: Annotated[str | None, typer.Argument(help="What somebody wants drawn.", show_default=False)] = None,
    locale: Annotated[
        str | None, typer.Option(help="BCP-47 locale, such as ar-SA; default: the setting `default_locale`.")
    ] = None,
    detector: Annotated[Detector | None, typer.Option(help="Use this instead of the policy's own.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Judge in this process, even if a service runs.")] = False,
    source: Annotated[
        Path | None,
        typer.Option("--input", exists=True, dir_okay=False, readable=True, help="Judge the lines of this file."),
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--output", dir_okay=False, writable=True, help="Append the results to this file.")
    ] = None,
    allow_degraded: AllowDegraded = False,
) -> None:
    """Judge one prompt under a locale's policy and print the verdict; or judge a file of prompts.

    Example: propriety moderate --locale ar-SA "a woman holding a wine glass on a beach"

    Example: propriety moderate --locale de-DE --input prompts.jsonl --output judged.jsonl

    If `propriety serve` runs on this machine, or PROPRIETY_URL names a service elsewhere, that service judges the
    prompt, which is much quicker, and PROPRIETY_API_KEY is sent to it. Otherwise this process judges. It always judges
    files itself.

    Each line of the input is {"id": "1", "text": "a red apple", "locale": "fr-FR"}. The locale is optional, ids are
    strings or integers, and other keys are ignored. Each line of the output is {"id", "action", "severity", "flagged",
    "score", "violations", "safe_prompt", "status"}; the score is in [0, 1] and rises with the risk. Several prompts are
    judged at once, and lines are written as they are done, not in the order of the input. After an interruption the
    same command continues where it stopped: ids in the output are not judged again.

    A file waits for an LLM that is slow or stops. Lines that it should have judged and did not are degraded. They are
    not written, so that the same command judges them later, unless --allow-degraded accepts them.

    Exit status: 0 judged, whatever the verdict; 1 some lines of the input were bad or no detector was available (each
    is named on stderr), some are degraded, or the service failed, is busy or cannot be reached; 2 nothing was judged,
    because an argument, the prompt, the locale or a policy is wrong, or the service refuses the key; 130 interrupted.
    """
    from agent.terminal.loading import read_settings

    settings = read_settings()
    if source is None or target is None:
        if source or target:
            raise typer.BadParameter("go together: name both", param_hint="--input and --output")
        if prompt is None:
            raise typer.BadParameter("say what to judge, or name a file with --input", param_hint="PROMPT")
        _moderate_one(settings, prompt, locale, detector, json, local)
    else:
        if prompt is not None or json:
            raise typer.BadParameter("cannot be combined with a prompt or --json", param_hint="--input")
        if not target.parent.is_dir():
            raise typer.BadParameter(f"the folder {target.parent} does not exist; create it", param_hint="--output")
        if target.exists() and (not target.is_file() or target.samefile(source)):
            raise typer.BadParameter("name another file than the input, for the results alone", param_hint="--output")
        _moderate_file(settings, source, target, locale or settings.default_locale, detector, allow_degraded)


def _moderate_one(
    settings: Settings, prompt: str, locale: str | None, detector: Detector | None, json: bool, local: bool
) -> None:
    from agent.terminal.output import print_verdict
    from cli.service import judged_by_service

    verdict = None if local else judged_by_service(settings, prompt, locale, detector)
    if verdict is None:
        verdict = _judge_here(settings, prompt, locale, detector)
    if json:
        typer.echo(verdict.model_dump_json(indent=2))
    else:
        print_verdict(verdict)


def _judge_here(settings: Settings, prompt: str, locale: str | None, detector: Detector | None) -> Verdict:
    from agent.policy.lookup import UnknownLocaleError
    from agent.prompt.compose import BadPromptError
    from agent.terminal.loading import load_moderator

    moderator = load_moderator(settings)
    try:
        return asyncio.run(moderator.moderate([ChatMessage(role="user", content=prompt)], locale, detector))
    except (BadPromptError, UnknownLocaleError) as error:
        fail(error)


def _moderate_file(
    settings: Settings, source: Path, target: Path, locale: str, detector: Detector | None, allow_degraded: bool
) -> None:
    from agent.policy.lookup import UnknownLocaleError, lookup
    from agent.terminal.journal import JournalError
    from agent.terminal.loading import load_moderator
    from cli.file_of_prompts import SourceError, judge_file

    try:
        moderator = load_moderator(settings)
        lookup(moderator.policies, locale)
        with offline_work():
            tally = asyncio.run(judge_file(moderator, source, target, locale, detector, allow_degraded))
    except (JournalError, OSError, SourceError, UnknownLocaleError) as error:
        fail(error)
    except KeyboardInterrupt:
        fail(f"interrupted; the results so far are in {target}, and the same command continues from there", INTERRUPTED)
    errors.print(f"{target}: {tally}", markup=False, highlight=False, soft_wrap=True)
    report_degraded(tally.degraded, "lines", allow_degraded)
    if tally.bad:
        raise typer.Exit(WRONG)
