"""What a policy is: what pictures in a place must not show, by which law or custom, and what can replace it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import Annotated, Any

import langcodes
from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from agent.policy.audience import audience_of, split_audience, with_audience
from propriety.verdict import Action, Category, Detector, Severity, Strict, Verdict

BASE = "base"

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[dict[str, Text], Field(description="Language code to text.")]
RuleId = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$", description="Dotted, lower case.")]


class Level(Strict):
    """What a severity leads to, and how strongly the generator's safe branch acts (`wxi`, `tau_gc` in [0, 1])."""

    action: Action
    wxi: float | None = Field(default=None, ge=0, le=1)
    tau_gc: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _knobs_belong_to_rewrites(self) -> Level:
        if (self.action is Action.REWRITE) != (self.wxi is not None and self.tau_gc is not None):
            raise ValueError("expected wxi and tau_gc if the action is rewrite, and neither otherwise")
        if self.wxi == 0:
            raise ValueError("expected wxi above 0 if the action is rewrite: with 0 the original prompt is drawn")
        return self


class Examples(Strict):
    """Image prompts that break a rule, and near misses that do not."""

    violating: list[Text] = []
    allowed: list[Text] = []


class Rule(Strict):
    """One thing that pictures in a place must not show."""

    id: RuleId
    category: Category
    severity: Severity
    topics: list[Text] = Field(default=[], description="Topics of the concept bank that offend under this rule.")
    only_with: list[Text] = Field(
        default=[], description="The rule is broken only together with one of these topics; empty: by itself."
    )
    definition: Text = Field(description="What a picture must not show, in one or two plain sentences.")
    exceptions: list[Text] = Field(default=[], description="What the law or custom itself allows.")
    examples: Examples = Examples()
    safe_concepts: list[Text] = Field(default=[], description="What can replace it.")
    message: Texts
    sources: list[Text] = Field(min_length=1, description="The law or custom that the rule rests on.")

    @model_validator(mode="after")
    def _minors_are_always_critical(self) -> Rule:
        if self.category is Category.CHILD_SEXUAL_EXPLOITATION and self.severity is not Severity.CRITICAL:
            raise ValueError("expected severity critical, as always for child_sexual_exploitation")
        return self


class DisabledRule(Strict):
    """Disables an inherited rule, with the reason."""

    id: RuleId
    disabled: Annotated[str, Field(min_length=10, description="Why the rule does not hold here.")]


class Expectation(Strict):
    action: Action
    rule: RuleId | None = None

    def met_by(self, verdict: Verdict) -> bool:
        """Whether the verdict has this action, and this rule, if one is named, among those it finds broken."""
        broken = {violation.rule_id for violation in verdict.violations}
        return verdict.action is self.action and (self.rule is None or self.rule in broken)


class PolicyTest(Strict):
    """A prompt, and what the policy must decide on it."""

    prompt: Text
    expect: Expectation


class Messages(Strict):
    """What the person who asked for the picture is told, by language."""

    rewrite: Texts
    block: Texts


class Severities(Strict):
    """Critical always blocks. A higher severity never has a milder action than a lower one."""

    low: Level
    medium: Level
    high: Level
    critical: Level

    @model_validator(mode="after")
    def _critical_blocks(self) -> Severities:
        if self.critical.action is not Action.BLOCK:
            raise ValueError("expected action block for severity critical")
        actions = [list(Action).index(self[severity].action) for severity in Severity]
        if actions != sorted(actions):
            raise ValueError("expected actions that never grow milder from low to critical: allow, rewrite, block")
        return self

    def __getitem__(self, severity: Severity) -> Level:
        level: Level = getattr(self, severity.value)
        return level


class Policy(Strict):
    """A resolved policy: the file's own rules over those of its parents."""

    locale: str
    lineage: list[str] = Field(description="The files that it was resolved from: its own first, base last.")
    title: Text
    version: dt.date
    detector: Detector
    severities: Severities
    message: Messages
    rules: list[Rule] = Field(min_length=1)
    tests: list[PolicyTest] = Field(
        default=[], description="The file's own tests; a parent's are run under the parent."
    )

    @property
    def audience(self) -> str:
        """The audience that is laid over the locale; empty if there is none."""
        return audience_of(self.locale)

    @property
    def tag(self) -> str:
        """A BCP-47 tag that finds this policy: its locale, or for base `en`, which has no policy file."""
        place, audience = split_audience(self.locale)
        return with_audience("en", audience) if place == BASE else self.locale

    @property
    def language(self) -> str:
        return langcodes.Language.get(self.tag).language or "en"

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything that decides: all fields but the tests."""
        content = self.model_dump(mode="json", exclude={"tests"})
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    @cached_property
    def rules_by_id(self) -> dict[str, Rule]:
        return {rule.id: rule for rule in self.rules}

    def say(self, texts: Mapping[str, str]) -> str:
        """The text in the policy's language, else in English, else in any language."""
        return texts.get(self.language) or texts.get("en") or next(iter(texts.values()))


class RuleOverride(Strict):
    """A rule as written in a file. Omitted fields come from the parent's rule of that id."""

    id: RuleId
    category: Category | None = None
    severity: Severity | None = None
    topics: list[Text] | None = None
    only_with: list[Text] | None = None
    definition: Text | None = None
    exceptions: list[Text] | None = None
    examples: Examples | None = None
    safe_concepts: list[Text] | None = None
    message: Texts | None = None
    sources: list[Text] | None = Field(default=None, min_length=1)


def _rule_kind(value: Any) -> str:
    return "disabled" if isinstance(value, Mapping) and "disabled" in value else "override"


def _day(value: Any) -> Any:
    """Refuses values that pydantic reads as a date and the schema does not allow: a number, or a date with a time."""
    if isinstance(value, str) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        with suppress(ValueError):
            return dt.date.fromisoformat(value)
    if type(value) is dt.date:
        return value
    raise ValueError(f"expected a valid date, such as 2026-01-31, not {value!r}")


class PolicyFile(Strict):
    """One YAML file as written, before it is laid over its parent."""

    locale: Text
    extends: str | None = Field(description="The parent's locale; null for base and audiences.")
    title: Text
    version: Annotated[dt.date, BeforeValidator(_day)]
    detector: Detector | None = None
    severities: Severities | None = None
    message: Messages | None = None
    rules: list[
        Annotated[
            Annotated[DisabledRule, Tag("disabled")] | Annotated[RuleOverride, Tag("override")],
            Discriminator(_rule_kind),
        ]
    ] = []
    tests: list[PolicyTest] = []
