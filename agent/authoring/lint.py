"""Find what is unsound in policies that load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from agent.judge.question import judge
from agent.policy.concept_bank import ConceptBank
from agent.policy.model import Policy, Rule
from agent.retrieval.concepts import Concept, concepts_under
from propriety.verdict import Category, Detector, Severity

if TYPE_CHECKING:
    from agent.moderator import Moderator

# The study (docs/study.md): what was tried without the offence returning in any picture.
_MIN_WXI, _MAX_TAU_GC, _MIN_WXI_BEYOND = 0.25, 0.5, 0.75
_DECISION_BOUNDARY = 0.5  # the LLM's probability from which on it says that a prompt breaks a rule


class Finding(NamedTuple):
    """A problem: the policy's locale, the rule or field, and what is wrong and how to fix it."""

    locale: str
    where: str
    problem: str


def lint_texts(policy: Policy, policies: Mapping[str, Policy], bank: ConceptBank) -> list[Finding]:
    """What can be found without reading a prompt.

    These are rules without a test, tests that prove nothing, missing translations, phrases on both sides of a rule, and
    severities whose w_ξ and τ_gc let the offence return.

    Args:
        policy: the one to check.
        policies: all of them by locale, since a parent's tests count too.
        bank: the concept bank.
    """
    concepts = concepts_under(policy, bank)
    return [
        *_rules_without_a_test(policy, policies),
        *_tests_that_are_looked_up(policy, concepts),
        *_missing_translations(policy),
        *_phrases_on_both_sides(policy, concepts),
        *_weak_knobs(policy),
    ]


async def lint_by_reading(
    moderator: Moderator,
    policies: Sequence[Policy],
    ask_llm: bool = False,
    done: Callable[[], None] | None = None,
) -> list[Finding]:
    """Safe concepts that break a rule of the same policy; with `ask_llm`, also examples that the LLM contradicts.

    Args:
        moderator: reads the phrases under each policy.
        policies: those to check.
        ask_llm: read with the policy's own detector, and check the examples. An example is not shown to the LLM while
            it is checked. Otherwise the phrases are read by `nearest`.
        done: called after each policy.

    Raises:
        LLMUnavailableError: `ask_llm` is set, and the LLM does not answer.
    """
    findings = []
    for policy in policies:
        for rule in policy.rules:
            findings += await _unsafe_safe_concepts(moderator, policy, rule, None if ask_llm else Detector.NEAREST)
            findings += await _contradicted_examples(moderator, policy, rule) if ask_llm else []
        if done:
            done()
    return findings


def _rules_without_a_test(policy: Policy, policies: Mapping[str, Policy]) -> Iterator[Finding]:
    """Rules that protect minors are exempt: no text that breaks them is kept."""
    family = [policy, *(policies[name] for name in policy.lineage if name in policies)]
    tested = {test.expect.rule for member in family for test in member.tests}
    for rule in policy.rules:
        if rule.id not in tested and rule.category is not Category.CHILD_SEXUAL_EXPLOITATION:
            yield Finding(policy.locale, rule.id, "no test expects this rule; add one to `tests`")


def _tests_that_are_looked_up(policy: Policy, concepts: Sequence[Concept]) -> Iterator[Finding]:
    known = {concept.text.casefold() for concept in concepts}
    for test in policy.tests:
        if test.prompt.casefold() in known:
            problem = f"{test.prompt!r} is also in the concept bank or an example, so it proves nothing; reword it"
            yield Finding(policy.locale, "tests", problem)


def _missing_translations(policy: Policy) -> Iterator[Finding]:
    messages = {rule.id: rule.message for rule in policy.rules}
    messages |= {"message.rewrite": policy.message.rewrite, "message.block": policy.message.block}
    for where, texts in messages.items():
        if policy.language not in texts:
            yield Finding(policy.locale, where, f"no message in the place's language; add {policy.language!r}")


def _phrases_on_both_sides(policy: Policy, concepts: Sequence[Concept]) -> Iterator[Finding]:
    safe = {concept.text for concept in concepts if concept.rule_id is None}
    for concept in concepts:
        if concept.rule_id is not None and concept.text in safe:
            problem = f"{concept.text!r} is both safe and unsafe in the concept bank or the examples; remove one"
            yield Finding(policy.locale, concept.rule_id, problem)


def _weak_knobs(policy: Policy) -> Iterator[Finding]:
    for severity in Severity:
        level = policy.severities[severity]
        if level.wxi is None or level.tau_gc is None:
            continue
        weak = level.wxi < _MIN_WXI or (level.tau_gc > _MAX_TAU_GC and level.wxi < _MIN_WXI_BEYOND)
        if weak:
            problem = (
                f"wxi {level.wxi:g} with tau_gc {level.tau_gc:g} may draw the offence; use wxi of at least "
                f"{_MIN_WXI:g}, and of {_MIN_WXI_BEYOND:g} if tau_gc is above {_MAX_TAU_GC:g}"
            )
            yield Finding(policy.locale, f"severities.{severity.value}", problem)


async def _unsafe_safe_concepts(
    moderator: Moderator, policy: Policy, rule: Rule, detector: Detector | None
) -> list[Finding]:
    findings = []
    for text in rule.safe_concepts:
        reading = await moderator.read(text, policy, detector)
        for violation in reading.violations:
            problem = f"the safe concept {text!r} breaks {violation.rule_id}; replace it"
            findings.append(Finding(policy.locale, rule.id, problem))
    return findings


async def _contradicted_examples(moderator: Moderator, policy: Policy, rule: Rule) -> list[Finding]:
    findings, examples = [], rule.examples
    for side, texts in (("violating", examples.violating), ("allowed", examples.allowed)):
        for text in texts:
            others = examples.model_copy(
                update={
                    "violating": [other for other in examples.violating if other != text],
                    "allowed": [other for other in examples.allowed if other != text],
                }
            )
            unshown = rule.model_copy(update={"examples": others})
            probability = (await judge(moderator.model, policy, [unshown], text))[rule.id]
            if (probability >= _DECISION_BOUNDARY) is not (side == "violating"):
                problem = f"the LLM contradicts the {side} example {text!r} (probability {probability:.2f})"
                findings.append(Finding(policy.locale, rule.id, f"{problem}; reword the example or the definition"))
    return findings
