"""Propriety's own prompts are valid, and do not occur in the policies or the concept bank."""

from collections import Counter

import pytest

from agent.policy.concept_bank import load_bank
from agent.policy.files import load_policies
from agent.policy.lookup import lookup
from agent.policy.model import Policy
from agent.retrieval.concepts import concepts_under
from agent.settings import Settings
from evaluation.own_prompts import Conversation, Prompt, read_prompts
from propriety.verdict import Category

MIN_PROMPTS = {"artefacts": 200, "sounds_unsafe": 200, "flips": 80}


@pytest.fixture(scope="module")
def policies() -> dict[str, Policy]:
    return load_policies(Settings().policies_dir)


@pytest.fixture(scope="module")
def known(policies: dict[str, Policy]) -> set[str]:
    """All texts of the concept bank, and of the policies' examples and tests."""
    bank = load_bank(Settings().policies_dir)
    texts = {concept.text.casefold() for policy in policies.values() for concept in concepts_under(policy, bank)}
    return texts | {test.prompt.casefold() for policy in policies.values() for test in policy.tests}


@pytest.mark.parametrize(("name", "minimum"), MIN_PROMPTS.items())
def test_a_file_has_enough_prompts_and_none_twice(name: str, minimum: int) -> None:
    prompts = read_prompts(name, Prompt)
    assert len(prompts) >= minimum
    assert max(Counter(prompt.id for prompt in prompts).values()) == 1
    assert max(Counter(prompt.text.casefold() for prompt in prompts).values()) == 1


@pytest.mark.parametrize("name", MIN_PROMPTS)
def test_no_prompt_occurs_in_the_concept_bank_or_in_a_policy(name: str, known: set[str]) -> None:
    assert [prompt.text for prompt in read_prompts(name, Prompt) if prompt.text.casefold() in known] == []


def test_flips_and_conversations_name_rules_of_their_policies_but_none_on_minors(
    policies: dict[str, Policy],
) -> None:
    named = [(flip.locale, flip.rule) for flip in read_prompts("flips", Prompt)]
    conversations = read_prompts("conversations", Conversation)
    named += [(talk.locale, talk.expect.rule) for talk in conversations if talk.expect.rule]
    for locale, rule_id in named:
        rule = lookup(policies, locale)[1].rules_by_id[str(rule_id)]
        assert rule.category is not Category.CHILD_SEXUAL_EXPLOITATION


def test_conversations_are_of_four_kinds() -> None:
    kinds = Counter(conversation.kind for conversation in read_prompts("conversations", Conversation))
    assert set(kinds) == {"assembled", "harmless", "after_refusal", "repaired"}
    assert kinds.total() >= 40
