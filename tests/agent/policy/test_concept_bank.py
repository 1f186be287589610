"""The concept bank is one, however many files it has, and every topic of a rule is in it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.policy.concept_bank import load_bank, topic_names
from agent.policy.files import load_policies
from agent.policy.model import Policy
from agent.policy.source import PolicyError
from agent.settings import Settings

Write = Callable[[dict[str, str]], Path]


def test_the_bank_that_ships_is_large_and_has_every_topic_that_a_policy_names(shipped: dict[str, Policy]) -> None:
    bank = load_bank(Settings().policies_dir).topics
    assert sum(len(topic.unsafe) + len(topic.safe) for topic in bank.values()) >= 300
    for policy in shipped.values():
        assert {topic for rule in policy.rules for topic in (*rule.topics, *rule.only_with)} <= set(bank)


def test_the_bank_is_combined_from_its_files_in_any_order(write: Write) -> None:
    german = "topics: {alcohol: {unsafe: [{text: ein Bier, safe: [ein Tee]}], safe: [ein Glas Wasser]}}\n"
    shared = "topics: {alcohol: {category: regulated_substances, safe: [a glass of water]}}\n"
    folder = write({"concepts/de": german, "concepts/shared": shared})
    topic = load_bank(folder).topics["alcohol"]
    assert (topic.category, [unsafe.text for unsafe in topic.unsafe]) == ("regulated_substances", ["ein Bier"])
    assert set(topic.safe) == {"ein Glas Wasser", "a glass of water"}
    assert topic_names(folder) == {"alcohol"}


@pytest.mark.parametrize(
    ("german", "expected"),
    [
        ("topics:\n  alcohl: {safe: [ein Tee]}\n", "topics.alcohl: expected a category in one of the files"),
        ("topics:\n  alcohol: {category: gambling}\n", "another file already gives the category"),
    ],
    ids=["a typo", "two categories"],
)
def test_exactly_one_file_gives_the_category_of_a_topic(write: Write, german: str, expected: str) -> None:
    folder = write({"concepts/ar": "topics: {alcohol: {category: regulated_substances}}\n", "concepts/de": german})
    with pytest.raises(PolicyError, match=expected) as refusal:
        load_bank(folder)
    assert (refusal.value.path.name, refusal.value.line) == ("de.yaml", 2)


@pytest.mark.parametrize("text", ["", "[]", "topics: 3\n", "topcs: {}\n", "topics: {alcohol: {safe: [1]}}\n"])
def test_a_malformed_file_is_refused(write: Write, base: str, text: str) -> None:
    folder = write({"base": base, "concepts/shared": text})
    assert set(load_policies(folder)) == {"base"}
    with pytest.raises(PolicyError, match=r"shared\.yaml:1: "):
        load_bank(folder)


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("    severity: low", "    topics: [alcohol, alcohl]", 6, "topic 'alcohl' is not in the concept bank"),
        ("    severity: low", "    only_with: [alcohl]", 6, "topic 'alcohl' is not in the concept bank"),
        ("    severity: low", "    topics: [alcohol]\n  - {RULE, topics: [alcohol]}", 8, "to the rule 'a.rule'"),
        ("    severity: low", "    severity: low\n  - {RULE, topics: [pork]}", 8, "to the rule 'held'"),
    ],
    ids=["claimed", "only with", "claimed twice", "claimed by the parent"],
)
def test_a_topic_that_is_unknown_or_claimed_twice_is_refused_with_its_line(
    write: Write, base: str, child: str, old: str, new: str, line: int, expected: str
) -> None:
    rule = "category: hate, severity: low, definition: d, message: {en: m}, sources: [s]"
    bank = "topics: {alcohol: {category: null}, pork: {category: null}}\n"
    base += f"  - {{id: held, {rule}, topics: [pork]}}\n"
    folder = write({"base": base, "de-DE": child, "concepts/shared": bank})
    assert set(load_policies(folder)) == {"base", "de-DE"}
    write({"de-DE": child.replace(old, new.replace("RULE", f"id: b.rule, {rule}"))})
    with pytest.raises(PolicyError, match=re.escape(expected)) as refusal:
        load_policies(folder)
    assert (refusal.value.path.name, refusal.value.line) == ("de-DE.yaml", line)
