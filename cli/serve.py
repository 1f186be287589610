"""`propriety serve`: everything on one machine."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.stack import Part, StartError
from agent.terminal.console import WRONG, fail


def serve(
    parts: Annotated[list[Part] | None, typer.Argument(help="What to start; by default everything.")] = None,
    demo: Annotated[bool, typer.Option(help="Send a sample conversation through for two locales first.")] = False,
    keyless: Annotated[
        bool, typer.Option(help="Serve callers on this machine without a key: verdicts and pictures.")
    ] = False,
) -> None:
    """Start LLM, generator and API, wait until each is healthy, and serve until Ctrl-C.

    The first start makes an admin key, prints it once, and keeps it in the data folder, where the commands find it.

    Example: propriety serve llm api

    Exit status: 0 stopped by Ctrl-C; 1 a part did not start, or died; 2 an argument is wrong.
    """
    from agent.stack.serve import run_stack
    from agent.terminal.loading import read_settings

    try:
        settings = read_settings()
        if keyless:
            settings = settings.model_copy(update={"keyless": True})
        run_stack(settings, set(parts or Part), demo)
    except StartError as error:
        fail(error, WRONG)
