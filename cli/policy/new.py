"""`propriety policy new`: a policy file to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.authoring.scaffold import ScaffoldError, write_scaffold
from agent.policy.model import BASE
from agent.terminal.console import fail
from agent.terminal.loading import read_policies, read_settings


def new(
    locale: Annotated[str, typer.Argument(help="BCP-47 locale, such as vi-VN.")],
    extends: Annotated[str, typer.Option(help="The policy that the new one inherits from.")] = BASE,
    policies: Annotated[
        Path | None, typer.Option("--policies", help="Folder of policy files; default: the setting `policies_dir`.")
    ] = None,
) -> None:
    """Write a policy file to begin with, with every field explained. An existing file is never overwritten.

    Example: propriety policy new vi-VN --extends base

    Exit status: 0 written; 1 a policy file is wrong; 2 the locale, the parent or the folder is wrong.
    """
    known = read_policies(policies)
    try:
        path = write_scaffold(policies or read_settings().policies_dir, locale, known, extends)
    except ScaffoldError as error:
        hint = {"extends": "--extends", "locale": "LOCALE"}[error.parameter]
        raise typer.BadParameter(str(error), param_hint=hint) from None
    except FileExistsError as error:
        fail(f"{error.filename} already exists; edit it, or name another locale")
    except OSError as error:
        fail(error)
    typer.echo(f"{path}: add its title, rules and tests; `propriety policy lint {locale}` shows what is missing")
