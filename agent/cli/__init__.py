"""The `propriety` command."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from agent.cli import policy
from agent.moderator import BadPromptError, Moderator
from agent.policy_files import PolicyError, UnknownLocaleError
from agent.preflight import StartError
from agent.schema import ChatMessage, Detector, Verdict
from agent.settings import Settings
from agent.stack import Part, run_stack

app = typer.Typer(no_args_is_help=True, help="Locale-aware moderation and rewriting of image prompts.")
app.add_typer(policy.app, name="policy")
console, errors = Console(), Console(stderr=True)


@app.command()
def serve(
    parts: Annotated[list[Part] | None, typer.Argument(help="What to start; all of it where nothing is named.")] = None,
    demo: Annotated[bool, typer.Option(help="Send a sample conversation through for two locales first.")] = False,
) -> None:
    """Start LLM, generator and API, wait until each is healthy, and serve until Ctrl-C.

    Example: propriety serve llm api
    """
    try:
        run_stack(Settings(), set(parts or Part), demo)
    except StartError as error:
        errors.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None


@app.command()
def moderate(
    prompt: Annotated[str, typer.Argument(help="What somebody wants drawn.")],
    locale: Annotated[str | None, typer.Option(help="BCP-47 locale, such as ar-SA; else `default_locale`.")] = None,
    detector: Annotated[Detector | None, typer.Option(help="Instead of the policy's own.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Judge one prompt under a locale's policy and print the verdict.

    Example: propriety moderate --locale ar-SA "a woman holding a wine glass on a beach"
    """
    settings = Settings()
    try:
        moderator = Moderator(settings)
        message = ChatMessage(role="user", content=prompt)
        verdict = asyncio.run(moderator.moderate([message], locale or settings.default_locale, detector))
    except (BadPromptError, UnknownLocaleError, PolicyError) as error:
        errors.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from None
    if json:
        typer.echo(verdict.model_dump_json(indent=2))
    else:
        _print(verdict)


def _print(verdict: Verdict) -> None:
    console.print(
        f"{verdict.action.value.upper()} under {verdict.policy.locale} ({verdict.status.value})", style="bold"
    )
    for violation in verdict.violations:
        words = ", ".join(span.text for span in violation.spans)
        console.print(
            f"  {violation.rule_id} ({violation.severity.value}, {violation.confidence:.2f}): {words}", markup=False
        )
    if verdict.message:
        console.print(verdict.message, markup=False)
    if verdict.safe_prompt not in (None, verdict.prompt):
        console.print(
            f"Draw instead: {verdict.safe_prompt} (fidelity {verdict.fidelity:.2f}, w_ξ {verdict.wxi}, "
            f"τ_gc {verdict.tau_gc})",
            markup=False,
        )
