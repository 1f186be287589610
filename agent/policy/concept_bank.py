"""The concept bank: phrases that may offend, by topic, and what can replace them.

A policy decides which of them offend: its rules claim topics of the bank.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from agent.policy.model import Text
from agent.policy.source import Source, policy_files, read_yaml
from propriety.verdict import Category, Strict

CONCEPTS = "concepts"  # the bank's folder, in the folder of policies


class UnsafeConcept(Strict):
    """A phrase that may offend, and phrases of the same grammatical shape that can replace it."""

    text: Text
    safe: list[Text] = Field(min_length=1)


class Topic(Strict):
    """Phrases on one subject. One file gives the category; other files, by language, add phrases."""

    category: Category | None = None
    unsafe: list[UnsafeConcept] = []
    safe: list[Text] = []


class ConceptBank(Strict):
    topics: dict[str, Topic]


def concept_files(directory: Path) -> list[Path]:
    """The files of the concept bank in a folder of policies.

    Raises:
        PolicyError: as `policy_files`.
    """
    return policy_files(directory / CONCEPTS)


def topic_names(directory: Path) -> set[str]:
    """The topics of the bank. `load_bank` reports what else may be wrong with its files.

    Raises:
        PolicyError: a file is not valid YAML.
    """
    topics = (data.get("topics") for path in concept_files(directory) if isinstance(data := read_yaml(path).data, dict))
    return {name for names in topics if isinstance(names, Mapping) for name in names}


def load_bank(directory: Path) -> ConceptBank:
    """Read the files of `concepts/`, and combine what they hold on each topic.

    Raises:
        PolicyError: a file is wrong; with file, line and what was expected.
    """
    topics, first_named, categorised = dict[str, Topic](), dict[str, Source](), set[str]()
    for path in concept_files(directory):
        source = read_yaml(path)
        try:
            part = ConceptBank.model_validate(source.data)
        except ValidationError as error:
            raise source.invalid(error) from None
        for name, topic in part.topics.items():
            first_named.setdefault(name, source)
            if has_category := "category" in topic.model_fields_set:
                if name in categorised:
                    problem = "another file already gives the category; remove it here"
                    raise source.error(["topics", name], f"topics.{name}: {problem}")
                categorised.add(name)
            before = topics.get(name, Topic())
            topics[name] = Topic(
                category=topic.category if has_category else before.category,
                unsafe=[*before.unsafe, *topic.unsafe],
                safe=[*before.safe, *topic.safe],
            )
    for name, source in first_named.items():
        if name not in categorised:
            problem = "expected a category in one of the files; add it, or correct the topic's spelling"
            raise source.error(["topics", name], f"topics.{name}: {problem}")
    return ConceptBank(topics=topics)
