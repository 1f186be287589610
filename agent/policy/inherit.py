"""Inheritance: a policy file is laid over its parents, and an audience over a locale's policy."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import ValidationError

from agent.policy.audience import with_audience
from agent.policy.model import BASE, DisabledRule, Policy, PolicyFile, Rule, RuleOverride
from agent.policy.source import Source
from propriety.verdict import Category

_INHERITED = ("detector", "severities", "message")
_WORDING = {"id", "message", "sources"}  # all that a policy may change of a rule that protects minors
_MINORS = Category.CHILD_SEXUAL_EXPLOITATION

Rules = dict[str, dict[str, Any]]  # the fields of each rule, by its id


class Written(NamedTuple):
    """A policy file as written, and where it comes from."""

    file: PolicyFile
    source: Source
    is_audience: bool


def lineage(locale: str, places: dict[str, Written]) -> list[Written]:
    """The file of a locale, its parent, and so on to base.

    Raises:
        PolicyError: a parent is missing, or the files inherit in a cycle.
    """
    names = [locale]
    while (parent := places[names[-1]].file.extends) is not None:
        source = places[names[-1]].source
        if parent not in places:
            raise source.error(["extends"], f"extends: expected one of {', '.join(places)}, not {parent!r}")
        if parent in names:
            cycle = " → ".join([*names, parent])
            raise source.error(["extends"], f"extends: the files inherit in a cycle, {cycle}; change one parent")
        names.append(parent)
    if names[-1] != BASE:
        problem = f"extends: expected a parent, such as {BASE}; only {BASE} has none"
        raise places[names[-1]].source.error(["extends"], problem)
    return [places[name] for name in names]


def resolve(locale: str, files: list[Written]) -> Policy:
    """Lay a file over its parents. Rules keep their order, base's first, so that policies share a prompt prefix.

    Args:
        locale: the policy's tag, with the audience if the first file is one.
        files: the file itself, then its parents up to base.

    Raises:
        PolicyError: the files do not fit together.
    """
    inherited: dict[str, Any] = {}
    rules: Rules = {}
    for written in reversed(files):
        given = {key: getattr(written.file, key) for key in _INHERITED}
        inherited |= {key: value for key, value in given.items() if value is not None}
        for index, rule in enumerate(written.file.rules):
            _lay_over(rules, rule, index, written)
    own, named = files[0], files[: 2 if files[0].is_audience else 1]
    has_tests = not own.is_audience or locale == with_audience(BASE, own.file.locale)
    for index, test in enumerate(own.file.tests if has_tests else ()):
        if test.expect.rule is not None and test.expect.rule not in rules:
            problem = f"tests: expected a rule of this policy, not {test.expect.rule!r}"
            raise own.source.error(["tests", index, "expect", "rule"], problem)
    try:
        return Policy.model_validate(
            {
                "locale": locale,
                "lineage": [written.file.locale for written in files],
                "title": " · ".join(written.file.title for written in reversed(named)),
                "version": max(written.file.version for written in named),
                "rules": list(rules.values()),
                "tests": own.file.tests if has_tests else [],
                **inherited,
            }
        )
    except ValidationError as error:
        raise own.source.invalid(error) from None


def _lay_over(rules: Rules, rule: RuleOverride | DisabledRule, index: int, written: Written) -> None:
    """Lay one rule of a file, at that index, over the rules so far."""
    source, inherited = written.source, rules.get(rule.id, {})
    if inherited.get("category") is _MINORS and (isinstance(rule, DisabledRule) or rule.model_fields_set - _WORDING):
        problem = "this rule protects minors, so a policy may only change its message and sources"
        raise source.error(["rules", index], f"rules.{rule.id}: {problem}")
    if isinstance(rule, DisabledRule):
        if rules.pop(rule.id, None) is None:
            problem = "there is no inherited rule of this id to disable; correct the id or remove this entry"
            raise source.error(["rules", index], f"rules.{rule.id}: {problem}")
        return
    given = rule.model_dump(exclude_unset=True)
    if written.is_audience:
        _make_room(rules, inherited, given)
    rules[rule.id] = inherited | given
    try:
        Rule.model_validate(rules[rule.id])
    except ValidationError as error:
        raise source.invalid(error, within=("rules", index)) from None


def _make_room(rules: Rules, inherited: dict[str, Any], given: dict[str, Any]) -> None:
    """Before an audience's rule is laid over: other rules lose its topics, and its severity does not fall."""
    for other in rules.values():
        if other is not inherited and "topics" in other:
            other["topics"] = [topic for topic in other["topics"] if topic not in given.get("topics", ())]
    if "severity" in inherited and "severity" in given:
        given["severity"] = max(inherited["severity"], given["severity"], key=lambda severity: severity.rank)
