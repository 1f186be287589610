"""Compare two policies: by their rules, and by their decisions on prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from agent.concurrency import map_in_order
from agent.policy.model import Policy, Rule
from propriety.verdict import Action, ChatMessage, Detector, Severity, Verdict

if TYPE_CHECKING:
    from agent.moderator import Moderator

_COMPARED = ("category", "definition", "exceptions", "topics")


class Effect(NamedTuple):
    """How severe a rule is under a policy, and what that leads to."""

    severity: Severity
    action: Action


class RuleDifference(NamedTuple):
    """A rule that is not the same on both sides. A side's effect is None where it lacks the rule."""

    rule_id: str
    before: Effect | None
    after: Effect | None
    differs_in: list[str]


class DecisionDifference(NamedTuple):
    """A prompt that the two policies decide differently."""

    prompt: str
    before: Verdict
    after: Verdict


def compare_rules(before: Policy, after: Policy) -> list[RuleDifference]:
    """The rules that one policy lacks, and those that differ in effect or wording, by id."""
    differences = []
    for rule_id in sorted(before.rules_by_id | after.rules_by_id):
        old, new = before.rules_by_id.get(rule_id), after.rules_by_id.get(rule_id)
        effects = _effect(old, before), _effect(new, after)
        if differs_in := _differences(old, new, effects[0] == effects[1]):
            differences.append(RuleDifference(rule_id, *effects, differs_in))
    return differences


async def compare_decisions(
    moderator: Moderator,
    prompts: Iterable[str],
    before: str,
    after: str,
    detector: Detector | None = None,
    done: Callable[[], None] | None = None,
) -> list[DecisionDifference]:
    """The prompts whose action differs between two locales, in the order given.

    Args:
        moderator: judges the prompts.
        prompts: what is asked for.
        before, after: BCP-47 locales.
        detector: instead of the policies' own.
        done: called after each prompt.

    Raises:
        UnknownLocaleError: a locale is malformed or unregistered.
        BadPromptError: a prompt is empty or too long.
    """

    async def decide(prompt: str) -> DecisionDifference:
        message = ChatMessage(role="user", content=prompt)
        verdicts = [await moderator.moderate([message], locale, detector) for locale in (before, after)]
        return DecisionDifference(prompt, *verdicts)

    pairs = await map_in_order(prompts, decide, done)
    return [pair for pair in pairs if pair.before.action is not pair.after.action]


def _effect(rule: Rule | None, policy: Policy) -> Effect | None:
    return None if rule is None else Effect(rule.severity, policy.severities[rule.severity].action)


def _differences(old: Rule | None, new: Rule | None, same_effect: bool) -> list[str]:
    if old is None or new is None:
        return ["rule added" if old is None else "rule dropped"]
    changed = [name for name in _COMPARED if getattr(old, name) != getattr(new, name)]
    return changed if same_effect else ["effect", *changed]
