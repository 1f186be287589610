"""The `propriety` command."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.stack import Part, StartError
from agent.stack.serve import run_stack
from agent.terminal.console import WRONG, fail, read_settings
from cli import audit, evaluate, index, keys, policy
from cli.generate import generate
from cli.moderate import moderate

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Locale-aware moderation and rewriting of image prompts.",
)
app.command()(moderate)
app.command()(generate)
app.add_typer(policy.app, name="policy")
app.add_typer(index.app, name="index")
app.add_typer(audit.app, name="audit")
app.add_typer(keys.app, name="keys")
app.add_typer(evaluate.app, name="evaluate")


@app.command()
def serve(
    parts: Annotated[list[Part] | None, typer.Argument(help="What to start; all of it where nothing is named.")] = None,
    demo: Annotated[bool, typer.Option(help="Send a sample conversation through for two locales first.")] = False,
) -> None:
    """Start LLM, generator and API, wait until each is healthy, and serve until Ctrl-C.

    Example: propriety serve llm api

    Exit status: 0 stopped by Ctrl-C; 1 a part did not start, or died; 2 an argument is wrong.
    """
    try:
        run_stack(read_settings(), set(parts or Part), demo)
    except StartError as error:
        fail(error, WRONG)
