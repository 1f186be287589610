"""Policy files: read a folder of them, and validate it as a whole.

Loading is strict. An unknown key, an unknown category, a missing parent, a cycle, a duplicate id or a number out of
range refuses the whole folder, because a typo must never weaken a policy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import langcodes
from pydantic import TypeAdapter, ValidationError

from agent.policy.audience import audience_of, with_audience
from agent.policy.concept_bank import ConceptBank, topic_names
from agent.policy.inherit import Written, lineage, resolve
from agent.policy.lookup import filed_as
from agent.policy.model import BASE, DisabledRule, Policy, PolicyFile
from agent.policy.source import PolicyError, Source, policy_files, read_yaml

AUDIENCES = "audience"


def load_policies(directory: Path, instead: Path | None = None, bank: ConceptBank | None = None) -> dict[str, Policy]:
    """Every policy of a folder, resolved, by locale; and each of them with each audience laid over it.

    `audience/children.yaml` over `de-DE` is `de-DE-x-children`. An audience only adds: its rules are laid over the
    locale's, severities never fall, and a topic that it claims is taken from the locale's rule.

    Args:
        directory: the folder.
        instead: a file that replaces the folder's own file for its locale, or adds a locale.
        bank: the folder's concept bank, if the caller has read it.

    Raises:
        PolicyError: the first file that is wrong; none is served then.
    """
    places = _read_places(directory, instead)
    audiences = [_read(path, path.stem, True) for path in policy_files(directory / AUDIENCES)]
    lineages = {locale: lineage(locale, places) for locale in places}
    for audience in audiences:
        lineages |= {with_audience(locale, audience.file.locale): [audience, *lineages[locale]] for locale in places}
    policies = {locale: resolve(locale, files) for locale, files in lineages.items()}
    if topics := set(bank.topics) if bank else topic_names(directory):
        for locale, policy in policies.items():
            _check_topics(policy, topics, lineages[locale][0].source)
    return policies


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file, for editors."""
    schema = TypeAdapter(PolicyFile).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Propriety policy"}


def _read_places(directory: Path, instead: Path | None) -> dict[str, Written]:
    if not directory.is_dir():
        raise PolicyError(directory, 1, "expected a folder of policy files; correct its name")
    paths = {path.stem: path for path in policy_files(directory)}
    if instead:
        data = read_yaml(instead).data
        paths[str(data.get("locale")) if isinstance(data, Mapping) else instead.stem] = instead
    if BASE not in paths:
        raise PolicyError(directory / f"{BASE}.yaml", 1, "expected this file; every policy inherits from it, so add it")
    return {locale: _read(path, locale, False) for locale, path in paths.items()}


def _read(path: Path, locale: str, is_audience: bool) -> Written:
    source = read_yaml(path)
    try:
        file = PolicyFile.model_validate(source.data)
    except ValidationError as error:
        raise source.invalid(error) from None
    if file.locale != locale:
        fix = "change the one or the other, or remove the file if it is a copy"
        raise source.error(["locale"], f"locale: expected {locale!r}, the file's name, not {file.locale!r}; {fix}")
    if is_audience:
        _check_audience(file, source)
    elif locale != BASE:
        _check_place(locale, source)
    seen: set[str] = set()
    for index, rule in enumerate(file.rules):
        if rule.id in seen:
            raise source.error(["rules", index], f"rules: the id {rule.id!r} is used twice; rename or remove one")
        seen.add(rule.id)
    return Written(file, source, is_audience)


def _check_place(locale: str, source: Source) -> None:
    if not langcodes.tag_is_valid(locale):
        raise source.error(["locale"], f"locale: expected a registered BCP-47 tag, such as de-DE, or {BASE!r}")
    if audience_of(locale.lower()):
        raise source.error(["locale"], f"locale: expected a place alone; audiences are files in {AUDIENCES}/")
    if (filed := filed_as(locale)) != locale:
        problem = (
            f"locale: expected {filed!r}, by which requests for {locale!r} find their policy; rename the file, too"
        )
        raise source.error(["locale"], problem)


def _check_audience(file: PolicyFile, source: Source) -> None:
    if not re.fullmatch("[a-z0-9]{1,8}", file.locale):
        raise source.error(["locale"], "locale: expected 1 to 8 lower-case letters or digits for an audience")
    if file.extends is not None:
        raise source.error(["extends"], "extends: expected null, since an audience is laid over every policy")
    for index, rule in enumerate(file.rules):
        if isinstance(rule, DisabledRule):
            problem = "an audience cannot disable a rule, since it may only add; remove this entry"
            raise source.error(["rules", index], f"rules.{rule.id}: {problem}")


def _check_topics(policy: Policy, topics: set[str], source: Source) -> None:
    """Every topic that a rule names is in the bank, and only one rule claims it."""
    claimed: dict[str, str] = {}
    for rule in policy.rules:
        own = [index for index, written in enumerate(source.data.get("rules") or ()) if written["id"] == rule.id]
        for topic in (*rule.topics, *rule.only_with):
            if topic not in topics:
                problem = f"topic {topic!r} is not in the concept bank; correct its spelling, or add it to concepts/"
                raise source.error(["rules", *own], f"rules.{rule.id}: {problem}")
        for topic in rule.topics:
            if other := claimed.get(topic):
                problem = f"topic {topic!r} already belongs to the rule {other!r}; remove it from one of them"
                raise source.error(["rules", *own], f"rules.{rule.id}: {problem}")
            claimed[topic] = rule.id
