"""A policy file to begin with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import langcodes

from agent.policy.audience import audience_of
from agent.policy.lookup import filed_as
from agent.policy.model import BASE, Policy

_SCAFFOLD = """\
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
#    topics: [alcohol]  # of the concept bank; topics that no rule claims are safe here
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


class ScaffoldError(ValueError):
    """No file can be made for this `parameter`."""

    def __init__(self, parameter: Literal["locale", "extends"], message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


def scaffold(locale: str, extends: str, policies: Mapping[str, Policy]) -> str:
    """The text of a policy file for a locale.

    Args:
        locale: BCP-47 tag in its canonical form, such as vi-VN.
        extends: the locale of the parent.
        policies: those that can be a parent, by locale.

    Raises:
        ScaffoldError: the locale is not such a tag, or the parent does not exist.
    """
    parents = [policy.locale for policy in policies.values() if not policy.audience]
    if extends not in parents:
        raise ScaffoldError("extends", f"{extends!r} is not one of {', '.join(parents)}")
    if not langcodes.tag_is_valid(locale) or audience_of(locale) or locale != filed_as(locale):
        raise ScaffoldError("locale", f"{locale!r} is not a registered BCP-47 tag in its usual form, such as vi-VN")
    language = langcodes.Language.get(locale).language
    return _SCAFFOLD.format(locale=locale, extends=extends, today=dt.date.today(), language=language)


def write_scaffold(directory: Path, locale: str, policies: Mapping[str, Policy], extends: str = BASE) -> Path:
    """Write the scaffold into a folder of policies, and return its path.

    Raises:
        ScaffoldError: as `scaffold`.
        FileExistsError: the locale has a file already; it is left as it is.
        OSError: the file cannot be written.
    """
    text, path = scaffold(locale, extends, policies), directory / f"{locale}.yaml"
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path
