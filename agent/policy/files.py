"""Policy files: load, inherit, validate, and find the one that a locale asks for.

Loading is strict: an unknown key, an unknown category, a missing parent, a cycle, a duplicate id or a number out of
range refuses the whole directory, with file, line and what was expected, because a typo must never weaken a policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import langcodes
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from agent.policy.model import BASE, DisabledRule, Policy, PolicyFile, Rule
from propriety.verdict import Category

CONCEPTS, AUDIENCES = "concepts", "audience"
_AUDIENCE = "-x-"  # RFC 5646 section 2.2.7, private use: `de-DE-x-children`
MAX_LOCALE = 64  # RFC 5646 section 4.4.1 lets a limit be set from 35 up; this is the decision log's column
_WORDING = {"id", "message", "sources"}  # what a place may say in its own words about a rule that holds everywhere
_MINORS = Category.CHILD_SEXUAL_EXPLOITATION


class PolicyError(ValueError):
    """A file that must not be served: `path`, `line` (from 1) and what was expected there."""

    def __init__(self, path: Path, line: int, expected: str) -> None:
        super().__init__(f"{path}:{line}: {expected}")
        self.path, self.line, self.expected = path, line, expected


class UnknownLocaleError(ValueError):
    """The caller's locale is no well-formed, registered BCP-47 tag."""


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
    paths |= {f"{_AUDIENCE}{path.stem}": path for path in sorted((directory / AUDIENCES).glob("*.yaml"))}
    documents = {name: read_yaml(path) for name, path in paths.items()}
    files = {name: _parse(documents[name], paths[name], name.removeprefix(_AUDIENCE)) for name in paths}
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


def concept_files(directory: Path) -> list[Path]:
    """The files of the concept bank that belongs to a directory of policies."""
    return sorted((directory / CONCEPTS).glob("*.yaml"))


def lookup(policies: dict[str, Policy], locale: str) -> tuple[str, Policy]:
    """The canonical tag of `locale` and its policy, by RFC 4647 section 3.4: `de-AT` → `de` → `base`.

    An audience (`de-AT-x-children`) is kept on the way, and one that is not there is refused, never dropped.

    Raises:
        UnknownLocaleError: where the tag is malformed (RFC 5646), names an unregistered language or region or an
            unknown audience, or has more than `MAX_LOCALE` characters.
    """
    if len(locale) > MAX_LOCALE:
        raise UnknownLocaleError(f"{locale[:16]!r}… is longer than {MAX_LOCALE} characters; write it like de-DE")
    try:
        known = langcodes.tag_is_valid(locale)
        tag = langcodes.standardize_tag(locale) if known else ""
    except langcodes.tag_parser.LanguageTagError as error:
        raise UnknownLocaleError(f"{locale!r} is no BCP-47 language tag ({error}); write it like de-DE") from None
    if not known:
        raise UnknownLocaleError(f"{locale!r} names a language or region that is not registered; write it like de-DE")
    by_lower = {name.lower(): policy for name, policy in policies.items()}
    place, private, audience = tag.lower().partition(_AUDIENCE)
    if private and f"{BASE}{private}{audience}" not in by_lower:
        audiences = [name.removeprefix(f"{BASE}{_AUDIENCE}") for name in by_lower if name.startswith(BASE + _AUDIENCE)]
        raise UnknownLocaleError(
            f"{locale!r}: there is no audience {audience!r}, only {', '.join(audiences) or 'none'}"
        )
    subtags = place.split("-")
    while subtags:
        if policy := by_lower.get("-".join(subtags) + private + audience):
            return tag, policy
        subtags.pop()
        if subtags and len(subtags[-1]) == 1:
            subtags.pop()
    return tag, by_lower[BASE + private + audience]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file, for editors."""
    schema = TypeAdapter(PolicyFile).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Propriety policy"}


def read_yaml(path: Path) -> Any:
    """Parse a YAML file into maps and lists that know their lines; duplicate keys are refused."""
    try:
        return YAML(typ="rt", pure=True).load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PolicyError(path, mark.line + 1 if mark else 1, f"expected valid YAML: {error.problem}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(path, 1, f"expected a readable UTF-8 file: {error}") from None
    except (YAMLError, ValueError) as error:  # control characters, a date such as 2026-99-99: no mark to go by
        raise PolicyError(path, 1, f"expected valid YAML: {str(error).splitlines()[0]}") from None


def explain(error: ValidationError, document: Any, path: Path) -> PolicyError:
    """The first thing that pydantic found wrong, with its place in the file."""
    first = error.errors(include_url=False)[0]
    line, where = _locate(document, first["loc"])
    given = f", not {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
    return PolicyError(path, line, f"{where or 'file'}: {first['msg']}{given}")


def _locate(document: Any, location: Iterable[str | int]) -> tuple[int, str]:
    """The line (from 1) and the dotted name of the deepest node of `document` on the path `location`."""
    line, names = 1, []
    for step in location:
        if isinstance(document, CommentedMap) and step in document:
            line = document.lc.key(step)[0] + 1
        elif isinstance(document, CommentedSeq) and isinstance(step, int) and step < len(document):
            line = document.lc.item(step)[0] + 1
        elif isinstance(document, CommentedMap) and step not in ("override", "disabled"):
            names.append(str(step))  # a required key that is missing
            continue
        else:
            continue  # pydantic names the member of a union too, which is no node of the file
        names.append(str(step))
        document = document[step]
    return line, ".".join(names)


def _parse(document: Any, path: Path, locale: str) -> PolicyFile:
    try:
        file = PolicyFile.model_validate(document)
    except ValidationError as error:
        raise explain(error, document, path) from None
    if file.locale != locale:
        raise PolicyError(path, _locate(document, ["locale"])[0], f"locale: expected {locale!r}, the file's name")
    if path.parent.name == AUDIENCES:
        if not re.fullmatch("[a-z0-9]{1,8}", file.locale) or file.extends is not None:
            raise PolicyError(path, 1, "expected 1 to 8 letters or digits as locale, and extends: null, of an audience")
        for index, rule in enumerate(file.rules):
            if isinstance(rule, DisabledRule):
                line = _locate(document, ["rules", index])[0]
                raise PolicyError(path, line, f"rules: expected an audience to add, not to disable {rule.id!r}")
    elif file.locale != BASE and not langcodes.tag_is_valid(file.locale):
        raise PolicyError(path, _locate(document, ["locale"])[0], "locale: expected a registered BCP-47 tag or 'base'")
    seen: set[str] = set()
    for index, rule in enumerate(file.rules):
        if rule.id in seen:
            line = _locate(document, ["rules", index])[0]
            raise PolicyError(path, line, f"rules: expected each id once, {rule.id!r} is there twice")
        seen.add(rule.id)
    return file


def _lineage(locale: str, files: dict[str, PolicyFile], documents: dict[str, Any], paths: dict[str, Path]) -> list[str]:
    lineage = [locale]
    while (parent := files[lineage[-1]].extends) is not None:
        path, line = paths[lineage[-1]], _locate(documents[lineage[-1]], ["extends"])[0]
        if parent not in files or parent.startswith(_AUDIENCE):
            known = ", ".join(name for name in files if not name.startswith(_AUDIENCE))
            raise PolicyError(path, line, f"extends: expected one of {known}, not {parent!r}")
        if parent in lineage:
            raise PolicyError(path, line, f"extends: expected no cycle, but {' → '.join([*lineage, parent])}")
        lineage.append(parent)
    if lineage[-1] != BASE:
        line = _locate(documents[lineage[-1]], ["extends"])[0]
        raise PolicyError(paths[lineage[-1]], line, f"extends: expected a parent; only {BASE} has none")
    return lineage


def _check_topics(policy: Policy, known: set[str], document: Any, path: Path) -> None:
    """Each topic that a rule names is one of the bank, and only one rule claims it: a typo never weakens a policy."""
    claimed: dict[str, str] = {}
    for rule in policy.rules:
        written = [index for index, own in enumerate(document.get("rules") or ()) if own["id"] == rule.id]
        line = _locate(document, ["rules", *written])[0]
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
            line = _locate(document, ["rules", index])[0]
            protects_minors = rules.get(rule.id, {}).get("category") is _MINORS
            if protects_minors and (isinstance(rule, DisabledRule) or rule.model_fields_set - _WORDING):
                raise PolicyError(path, line, f"rules: expected {rule.id!r} to hold everywhere, it protects minors")
            if isinstance(rule, DisabledRule):
                if rules.pop(rule.id, None) is None:
                    raise PolicyError(path, line, f"rules: expected an inherited rule to disable, not {rule.id!r}")
                continue
            inherited, written = rules.get(rule.id, {}), rule.model_dump(exclude_unset=True)
            if name.startswith(_AUDIENCE):
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
            line = _locate(document, ["tests", index, "expect", "rule"])[0]
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
