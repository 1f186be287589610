"""Propriety's own prompts are sound, and nothing in the policies was made of them."""

from collections import Counter

import pytest

from agent.policy.files import load_policies
from agent.policy.lookup import lookup
from agent.retrieval.concepts import concepts_under
from agent.policy.concept_bank import load_bank
from agent.settings import Settings
from evaluation.judgement import Conversation, Prompt, _without, read_prompts
from propriety.verdict import Category

LEAST = {"artefacts": 200, "sounds_unsafe": 200, "flips": 80}
POLICIES = load_policies(Settings().policies_dir)


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_there_are_enough_and_each_is_there_once(name: str, least: int) -> None:
    prompts = read_prompts(name, Prompt)
    assert len(prompts) >= least
    assert max(Counter(prompt.id for prompt in prompts).values()) == 1
    assert max(Counter(prompt.text.casefold() for prompt in prompts).values()) == 1


@pytest.mark.parametrize("name", LEAST)
def test_none_stands_in_the_bank_an_example_or_a_test_of_a_policy(name: str) -> None:
    bank = load_bank(Settings().policies_dir)
    known = {concept.text.casefold() for policy in POLICIES.values() for concept in concepts_under(policy, bank)}
    known |= {test.prompt.casefold() for policy in POLICIES.values() for test in policy.tests}
    assert [prompt.text for prompt in read_prompts(name, Prompt) if prompt.text.casefold() in known] == []


def test_each_flip_and_each_conversation_names_a_rule_of_its_policy_and_no_text_on_minors() -> None:
    named = [(flip.locale, flip.rule) for flip in read_prompts("flips", Prompt)]
    talks = read_prompts("conversations", Conversation)
    named += [(talk.locale, talk.expect.rule) for talk in talks if talk.expect.rule]
    for locale, rule_id in named:
        rule = lookup(POLICIES, locale)[1].rules_by_id[str(rule_id)]
        assert rule.category is not Category.CHILD_SEXUAL_EXPLOITATION


def test_the_conversations_are_of_four_kinds() -> None:
    kinds = Counter(talk.kind for talk in read_prompts("conversations", Conversation))
    assert set(kinds) == {"assembled", "harmless", "after_refusal", "repaired"}
    assert kinds.total() >= 40


def test_a_policy_without_a_rule_is_another_policy() -> None:
    policy = POLICIES["ar-SA"]
    off = _without(policy, "substances.alcohol")
    assert off.hash != policy.hash
    assert set(policy.rules_by_id) - set(off.rules_by_id) == {"substances.alcohol"}
