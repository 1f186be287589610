"""All policies share the index of the bank, and each finds its own examples and not another's."""

from pathlib import Path

import pytest

from agent.policy.concept_bank import load_bank
from agent.policy.files import load_policies
from agent.policy.model import Examples, Policy
from agent.retrieval.concepts import concepts_under
from agent.retrieval.encoder import load_encoder
from agent.retrieval.index import ConceptIndex, IndexedBank
from agent.settings import Settings

FOLDER = Path(__file__).parents[2] / "small_policies"


@pytest.fixture
def bank() -> IndexedBank:
    return IndexedBank(load_bank(FOLDER), load_encoder("multilingual-e5-small"), {})


@pytest.fixture
def policy() -> Policy:
    return load_policies(FOLDER)["ar-SA"]


def with_examples(policy: Policy, *violating: str) -> Policy:
    rules = [rule.model_copy(update={"examples": Examples(violating=list(violating))}) for rule in policy.rules[:1]]
    return policy.model_copy(update={"rules": [*rules, *policy.rules[1:]]})


def test_the_shipped_policies_have_the_same_phrases_of_the_bank_in_the_same_order() -> None:
    directory = Settings().policies_dir
    bank = load_bank(directory)
    texts = [[concept.text for concept in concepts_under(policy, bank)] for policy in load_policies(directory).values()]
    shared = next(count for count, row in enumerate(zip(*texts, strict=False)) if len(set(row)) > 1)
    assert {unsafe.text for topic in bank.topics.values() for unsafe in topic.unsafe} <= set(texts[0][:shared])


def test_a_concept_of_the_bank_or_the_policy_is_found_by_its_own_text(bank: IndexedBank, policy: Policy) -> None:
    index = ConceptIndex(with_examples(policy, "a brewery at dusk", "a cellar full of barrels"), bank)
    unsafe = {concept for concept in index.concepts if concept.rule_id}
    assert {concept.topic is None for concept in unsafe} == {True, False}
    for concept in unsafe:
        windows = index.search(concept.text).windows[str(concept.rule_id)]
        whole = next(window for window in windows if window.span.text == concept.text)
        assert (whole.concept, whole.similarity) == (concept, pytest.approx(1, abs=1e-4))


def test_a_policy_does_not_find_the_examples_of_another(bank: IndexedBank, policy: Policy) -> None:
    here, there = (ConceptIndex(with_examples(policy, text), bank) for text in ("a red brewery", "a blue windmill"))
    for index, own, other in ((here, "a red brewery", "a blue windmill"), (there, "a blue windmill", "a red brewery")):
        found = index.search(f"{own} {other}").windows.values()
        named = {window.concept.text for windows in found for window in windows}
        assert own in named
        assert other not in named


def test_a_policy_adds_only_its_own_examples_to_the_index(
    bank: IndexedBank, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    added, indexed = list[list[str]](), bank.indexed
    monkeypatch.setattr(bank, "indexed", lambda rows: (added.append([row.text for row in rows]), indexed(rows))[1])
    ConceptIndex(policy, bank)
    ConceptIndex(with_examples(policy, "a brewery at dusk", "une brasserie fermée"), bank)
    assert [text for texts in added for text in texts] == [
        "a brewery at dusk",
        "une brasserie fermée",
        "une brasserie fermee",
    ]


def test_only_a_prompt_without_accents_is_compared_with_concepts_without_accents(
    bank: IndexedBank, policy: Policy
) -> None:
    index = ConceptIndex(with_examples(policy, "une brasserie fermée"), bank)

    def near(prompt: str) -> set[str]:
        return {window.concept.text for windows in index.search(prompt).windows.values() for window in windows}

    assert "une brasserie fermee" in near("une brasserie fermee")
    assert "une brasserie fermee" not in near("une brasserie fermée")
