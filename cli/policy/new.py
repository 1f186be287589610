"""`propriety policy new`: a file to begin with."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import langcodes
import typer

from agent.policy.model import BASE
from agent.terminal.console import fail, read_policies, read_settings

SCAFFOLD = """\
# yaml-language-server: $schema=schema.json
locale: {locale}
extends: {extends}
title: {locale}  # the place in its own language
version: {today}
rules: []
# Only what differs from {extends}: a new rule, fields of an inherited one, or {{id: …, disabled: "the reason"}}.
#  - id: substances.alcohol
#    category: regulated_substances
#    severity: medium  # low: custom; medium, high: law; critical: always blocked
#    topics: [alcohol]  # of the concept bank; what no rule claims is safe here
#    definition: Wine, beer or other alcoholic drinks, or people drinking them.
#    exceptions: ["juice, water, tea and coffee"]
#    examples:
#      violating: [a man drinking beer]
#      allowed: [a glass of juice on a table]
#    safe_concepts: [a glass of juice]
#    message: {{{language}: "…", en: "…"}}
#    sources: ["the law, with its article, or the custom and who describes it"]
tests: []
# At least twenty, half of them allowed, with near misses, some in the place's language.
#  - {{prompt: a woman drinking wine, expect: {{action: rewrite, rule: substances.alcohol}}}}
#  - {{prompt: a bowl of grapes, expect: {{action: allow}}}}
"""


def new(
    locale: Annotated[str, typer.Argument(help="BCP-47 locale, such as vi-VN.")],
    extends: Annotated[str, typer.Option(help="The policy that it inherits from.")] = BASE,
    policies: Annotated[
        Path | None, typer.Option("--policies", help="Folder of policy files; else `policies_dir`.")
    ] = None,
) -> None:
    """Write a policy file to begin with, and never over one that is there.

    Example: propriety policy new vi-VN --extends base

    Exit status: 0 written; 1 a policy file is wrong; 2 the locale, the parent or the folder is wrong.
    """
    known = [policy.locale for policy in read_policies(policies).values() if not policy.audience]
    if extends not in known:
        raise typer.BadParameter(f"{extends!r} is not among {', '.join(known)}", param_hint="--extends")
    if not langcodes.tag_is_valid(locale) or "-x-" in locale or locale != langcodes.standardize_tag(locale):
        raise typer.BadParameter(f"{locale!r} is no registered BCP-47 tag in its usual form, such as vi-VN")
    path = (policies or read_settings().policies_dir) / f"{locale}.yaml"
    language = langcodes.Language.get(locale).language
    text = SCAFFOLD.format(locale=locale, extends=extends, today=dt.date.today(), language=language)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        fail(f"{path} is there already; edit it, or name another locale")
    except OSError as error:
        fail(error)
    typer.echo(f"{path}: now its title, rules and tests; `propriety policy lint {locale}` says what is missing")
