"""`propriety policy`: write, check and compare policy files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.table import Column, Table

from agent.policy.files import json_schema
from agent.terminal.console import console
from agent.terminal.encoding import is_utf8
from agent.terminal.loading import policy_of, read_policies
from cli.policy.diff import diff
from cli.policy.lint import lint
from cli.policy.new import new
from cli.policy.replay import replay
from cli.policy.test import run_tests

app = typer.Typer(no_args_is_help=True, help="List, show, check, compare, test and try the policy files.")
for command in (new, lint, diff, replay):
    app.command()(command)
app.command("test")(run_tests)

Locale = Annotated[str, typer.Argument(help="BCP-47 locale, such as de-DE; `base` is the parent of all.")]
Directory = Annotated[
    Path | None, typer.Option("--policies", help="Folder of policy files; default: the setting `policies_dir`.")
]


@app.command("list")
def list_policies(policies: Directory = None) -> None:
    """List every policy with its rules, tests, version and parents.

    An audience, such as `children`, can be laid over any policy (`de-DE-x-children`). It is listed once, over base.

    Example: propriety policy list --policies my-policies

    Exit status: 0 listed; 1 a file is wrong.
    """
    columns = ("locale", "title", "version", "rules", "tests", "from")
    table = Table(*(Column(name, overflow="fold", no_wrap=name in ("locale", "version")) for name in columns))
    for policy in read_policies(policies).values():
        if policy.tests or not policy.audience:
            counts = (str(len(policy.rules)), str(len(policy.tests)))
            table.add_row(policy.locale, policy.title, str(policy.version), *counts, " → ".join(policy.lineage[1:]))
    console.print(table)


@app.command()
def show(locale: Locale, policies: Directory = None) -> None:
    """Print a policy as YAML, with the rules that it inherits.

    Example: propriety policy show ar-SA

    Exit status: 0 shown; 1 a file is wrong; 2 the locale is malformed or unregistered.
    """
    policy = policy_of(read_policies(policies), locale)
    document = policy.model_dump(mode="json")
    yaml.safe_dump(document, sys.stdout, allow_unicode=is_utf8(sys.stdout), sort_keys=False, width=120)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a policy file. With it an editor completes keys and marks mistakes.

    Example: propriety policy schema > policy.schema.json

    Exit status: 0.
    """
    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=not is_utf8(sys.stdout)))
