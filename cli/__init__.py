"""The `propriety` command.

A command's module is imported when the command is used, because help that first loads a database, an index and a
language model client takes seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from agent.terminal.encoding import escape_what_cannot_be_printed

# Each command with the first line of its help. It is the function of that name in the module of that name, or the
# module's `app`.
COMMANDS = {
    "moderate": "Judge one prompt under a locale's policy and print the verdict; or judge a file of prompts.",
    "generate": "Judge a prompt, rewrite it if it offends, and draw what the verdict allows.",
    "serve": "Start LLM, generator and API, wait until each is healthy, and serve until Ctrl-C.",
    "policy": "List, show, check, compare, test and try the policy files.",
    "index": "Encode the concept bank, and look up which concepts a prompt is near to.",
    "audit": "Export the decision log, and delete old decisions.",
    "keys": "Create, list, change, rotate and revoke API keys.",
    "evaluate": "Measure the moderator and the generator on your own data.",
}


class Commands(TyperGroup):
    """Replaces the command that is used by the one in its module."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **options: Any) -> Any:
        escape_what_cannot_be_printed()
        return super().main(*args, **options)


def load(name: str) -> Any:
    """The command from its module."""
    module, parent = import_module(f"cli.{name}"), typer.Typer(rich_markup_mode="markdown")
    if hasattr(module, "app"):
        parent.add_typer(module.app, name=name)
    else:
        parent.command(name)(getattr(module, name))
    return typer.main.get_group(parent).commands[name]


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Locale-aware moderation and rewriting of image prompts.",
)
for _name, _help in COMMANDS.items():
    app.command(_name, help=_help)(lambda: None)
