"""Policy files: load, inherit, validate, and find the one that a locale asks for.

Loading is strict: an unknown key, an unknown category, a missing parent, a cycle, a duplicate id or a number out of
range refuses the whole directory, with file, line and what was expected, because a typo must never weaken a policy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import langcodes
from pydantic import TypeAdapter, ValidationError

from agent.policy.audience import SUBTAG
from agent.policy.concept_bank import concept_files
from agent.policy.model import BASE, DisabledRule, Policy, PolicyFile, Rule
from agent.policy.source import PolicyError, explain, locate, read_yaml
from propriety.verdict import Category

AUDIENCES = "audience"
_WORDING = {"id", "message", "sources"}  # what a place may say in its own words about a rule that holds everywhere
_MINORS = Category.CHILD_SEXUAL_EXPLOITATION


def load_policies(directory: Path, instead: Path | None = None) -> dict[str, Policy]:
    """Every policy of a directory, resolved, by locale; then each of them with each audience laid over it.

    `instead` is a file that takes the place of the directory's own for its locale, or comes beside them.

    `audience/children.yaml` over `de-DE` is `de-DE-x-children`. An audience only adds: its rules are laid over the
    locale's, severities never fall, and a topic that it claims is taken from the locale's rule.

    Raises:
        PolicyError: on the first file that is wrong; none is served then.
    """
    paths = {path.stem: path for path in sorted(directory.glob("*.yaml"))}
    if instead:
        document = read_yaml(instead)
        paths[str(document.get("locale")) if isinstance(document, Mapping) else instead.stem] = instead
    if BASE not in paths:
        raise PolicyError(directory / f"{BASE}.yaml", 1, "expected a base policy; every other one inherits from it")
    locales = list(paths)
    paths |= {f"{SUBTAG}{path.stem}": path for path in sorted((directory / AUDIENCES).glob("*.yaml"))}
    documents = {name: read_yaml(path) for name, path in paths.items()}
    files = {name: _parse(documents[name], paths[name], name.removeprefix(SUBTAG)) for name in paths}
    lineages = {locale: _lineage(locale, files, documents, paths) for locale in locales}
    for audience in list(paths)[len(locales) :]:
        lineages |= {f"{locale}{audience}": [audience, *lineages[locale]] for locale in locales}
    resolved = {locale: _resolve(locale, lineage, files, documents, paths) for locale, lineage in lineages.items()}
    banks = [read_yaml(path) for path in concept_files(directory)]
    known = {topic for bank in banks if isinstance(bank, Mapping) for topic in bank.get("topics") or ()}
    if known:  # what else may be wrong with the bank, `load_bank` says
        for locale, policy in resolved.items():
            own = lineages[locale][0]
            _check_topics(policy, known, documents[own], paths[own])
    return resolved


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file, for editors."""
    schema = TypeAdapter(PolicyFile).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Propriety policy"}


def _parse(document: Any, path: Path, locale: str) -> PolicyFile:
    try:
        file = PolicyFile.model_validate(document)
    except ValidationError as error:
        raise explain(error, document, path) from None
    if file.locale != locale:
        raise PolicyError(path, locate(document, ["locale"])[0], f"locale: expected {locale!r}, the file's name")
    if path.parent.name == AUDIENCES:
        if not re.fullmatch("[a-z0-9]{1,8}", file.locale) or file.extends is not None:
            raise PolicyError(path, 1, "expected 1 to 8 letters or digits as locale, and extends: null, of an audience")
        for index, rule in enumerate(file.rules):
            if isinstance(rule, DisabledRule):
                line = locate(document, ["rules", index])[0]
                raise PolicyError(path, line, f"rules: expected an audience to add, not to disable {rule.id!r}")
    elif file.locale != BASE and not langcodes.tag_is_valid(file.locale):
        raise PolicyError(path, locate(document, ["locale"])[0], "locale: expected a registered BCP-47 tag or 'base'")
    seen: set[str] = set()
    for index, rule in enumerate(file.rules):
        if rule.id in seen:
            line = locate(document, ["rules", index])[0]
            raise PolicyError(path, line, f"rules: expected each id once, {rule.id!r} is there twice")
        seen.add(rule.id)
    return file


def _lineage(locale: str, files: dict[str, PolicyFile], documents: dict[str, Any], paths: dict[str, Path]) -> list[str]:
    lineage = [locale]
    while (parent := files[lineage[-1]].extends) is not None:
        path, line = paths[lineage[-1]], locate(documents[lineage[-1]], ["extends"])[0]
        if parent not in files or parent.startswith(SUBTAG):
            known = ", ".join(name for name in files if not name.startswith(SUBTAG))
            raise PolicyError(path, line, f"extends: expected one of {known}, not {parent!r}")
        if parent in lineage:
            raise PolicyError(path, line, f"extends: expected no cycle, but {' → '.join([*lineage, parent])}")
        lineage.append(parent)
    if lineage[-1] != BASE:
        line = locate(documents[lineage[-1]], ["extends"])[0]
        raise PolicyError(paths[lineage[-1]], line, f"extends: expected a parent; only {BASE} has none")
    return lineage


def _check_topics(policy: Policy, known: set[str], document: Any, path: Path) -> None:
    """Each topic that a rule names is one of the bank, and only one rule claims it: a typo never weakens a policy."""
    claimed: dict[str, str] = {}
    for rule in policy.rules:
        written = [index for index, own in enumerate(document.get("rules") or ()) if own["id"] == rule.id]
        line = locate(document, ["rules", *written])[0]
        for topic in (*rule.topics, *rule.only_with):
            if topic not in known:
                raise PolicyError(path, line, f"rules.{rule.id}: expected topics of the concept bank, not {topic!r}")
        for topic in rule.topics:
            if other := claimed.get(topic):
                raise PolicyError(path, line, f"rules.{rule.id}: expected {topic!r} under one rule, {other!r} has it")
            claimed[topic] = rule.id


def _make_room(rules: dict[str, dict[str, Any]], inherited: dict[str, Any], written: dict[str, Any]) -> None:
    """Before an audience's rule is laid over: others let go of its topics, and its severity is no lower than it was."""
    for other in rules.values():
        if other is not inherited and "topics" in other:
            other["topics"] = [topic for topic in other["topics"] if topic not in written.get("topics", ())]
    if "severity" in inherited and "severity" in written:
        written["severity"] = max(inherited["severity"], written["severity"], key=lambda severity: severity.rank)


def _resolve(
    locale: str, lineage: list[str], files: dict[str, PolicyFile], documents: dict[str, Any], paths: dict[str, Path]
) -> Policy:
    """Lay a file over its parents. Rules keep the order base first, so that policies share a prompt prefix."""
    merged: dict[str, Any] = {}
    rules: dict[str, dict[str, Any]] = {}
    for name in reversed(lineage):
        file, document, path = files[name], documents[name], paths[name]
        for key in ("detector", "severities", "message"):
            if (value := getattr(file, key)) is not None:
                merged[key] = value
        for index, rule in enumerate(file.rules):
            line = locate(document, ["rules", index])[0]
            protects_minors = rules.get(rule.id, {}).get("category") is _MINORS
            if protects_minors and (isinstance(rule, DisabledRule) or rule.model_fields_set - _WORDING):
                raise PolicyError(path, line, f"rules: expected {rule.id!r} to hold everywhere, it protects minors")
            if isinstance(rule, DisabledRule):
                if rules.pop(rule.id, None) is None:
                    raise PolicyError(path, line, f"rules: expected an inherited rule to disable, not {rule.id!r}")
                continue
            inherited, written = rules.get(rule.id, {}), rule.model_dump(exclude_unset=True)
            if name.startswith(SUBTAG):
                _make_room(rules, inherited, written)
            rules[rule.id] = inherited | written
            try:
                Rule.model_validate(rules[rule.id])
            except ValidationError as error:
                problem = explain(error, document["rules"][index], path)
                raise PolicyError(path, max(line, problem.line), f"rules.{rule.id}.{problem.expected}") from None
    own = lineage[0]
    file, document, path = files[own], documents[own], paths[own]
    for index, test in enumerate(file.tests):
        if test.expect.rule is not None and test.expect.rule not in rules:
            line = locate(document, ["tests", index, "expect", "rule"])[0]
            raise PolicyError(path, line, f"tests: expected a rule of this policy, not {test.expect.rule!r}")
    try:
        return Policy.model_validate(
            {
                "locale": locale,
                "lineage": [files[name].locale for name in lineage],
                "title": " · ".join(files[name].title for name in reversed(lineage[: 1 + (own != locale)])),
                "version": max(files[name].version for name in lineage[: 1 + (own != locale)]),
                "rules": list(rules.values()),
                "tests": file.tests if own == locale or locale.startswith(BASE) else [],
                **merged,
            }
        )
    except ValidationError as error:
        raise explain(error, document, path) from None
