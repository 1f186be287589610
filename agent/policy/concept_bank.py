"""The concept bank: phrases that may offend, by topic, and what can stand in their place.

Which of them offend is a policy's choice: a rule claims topics of the bank.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from agent.policy.model import Text
from agent.policy.source import PolicyError, explain, read_yaml
from propriety.verdict import Category, Strict

CONCEPTS = "concepts"  # the bank's folder beside the policy files


class UnsafeConcept(Strict):
    """A phrase that may offend, and those of the same grammatical shape that can stand for it."""

    text: Text
    safe: list[Text] = Field(min_length=1)


class Topic(Strict):
    """Phrases on one matter. One file gives its category; others, by language, add phrases."""

    category: Category | None = None
    unsafe: list[UnsafeConcept] = []
    safe: list[Text] = []


class ConceptBank(Strict):
    topics: dict[str, Topic]


def concept_files(directory: Path) -> list[Path]:
    """The files of the concept bank that belongs to a directory of policies."""
    return sorted((directory / CONCEPTS).glob("*.yaml"))


def load_bank(directory: Path) -> ConceptBank:
    """Read the files of `concepts/` and put together what they say on each topic.

    Raises:
        PolicyError: with file, line and what was expected.
    """
    topics, first_named, categorised = dict[str, Topic](), dict[str, tuple[Path, int]](), set[str]()
    for path in concept_files(directory):
        document = read_yaml(path)
        try:
            read = ConceptBank.model_validate(document)
        except ValidationError as error:
            raise explain(error, document, path) from None
        for name, topic in read.topics.items():
            line = document["topics"].lc.key(name)[0] + 1
            first_named.setdefault(name, (path, line))
            if (given := "category" in topic.model_fields_set) and name in categorised:
                raise PolicyError(path, line, f"topics.{name}: expected no category, another file gives it")
            categorised.update([name] if given else [])
            whole = topics.get(name, Topic())
            topics[name] = Topic(
                category=topic.category or whole.category,
                unsafe=[*whole.unsafe, *topic.unsafe],
                safe=[*whole.safe, *topic.safe],
            )
    for name, (path, line) in first_named.items():
        if name not in categorised:
            raise PolicyError(path, line, f"topics.{name}: expected a category in one file, or a topic that has one")
    return ConceptBank(topics=topics)
