"""The concepts under a policy: rows of its index, each with the rule that it breaks, if any.

A concept offends only where a rule of the policy claims its topic. Elsewhere the same phrase is a safe one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from agent.prompt.normalise.folding import without_accents

if TYPE_CHECKING:
    from agent.policy.concept_bank import ConceptBank
    from agent.policy.model import Policy, Rule
    from agent.retrieval.encoder import Encoder, Vector

BATCH = 256  # texts encoded between two additions to the known vectors, which an interruption does not lose


class Concept(NamedTuple):
    """A row of the index.

    rule_id: the rule that it breaks; None if it is safe under the policy.
    safe: phrases that can stand in its place.
    topic: the topic of an unsafe phrase of the bank; None for all others.
    """

    text: str
    rule_id: str | None
    safe: tuple[str, ...]
    topic: str | None = None


def concepts_under(policy: Policy, bank: ConceptBank) -> list[Concept]:
    """The bank and the policy's own examples as rows.

    The bank's rows come first. Their texts and order are the same under every policy.
    """
    return list(dict.fromkeys([*bank_rows(bank, policy.rules), *example_rows(policy)]))


def bank_rows(bank: ConceptBank, rules: Sequence[Rule] = ()) -> list[Concept]:
    """The rows of the bank under these rules."""
    claimed = {topic: rule for rule in rules for topic in rule.topics}
    rows = []
    for name, topic in bank.topics.items():
        rule = claimed.get(name)
        for unsafe in topic.unsafe:
            safe = (*unsafe.safe, *(rule.safe_concepts if rule else ()))
            rows.append(Concept(unsafe.text, rule.id if rule else None, safe, name))
            rows.extend(Concept(text, None, ()) for text in unsafe.safe)
        rows.extend(Concept(text, None, ()) for text in topic.safe)
    return list(dict.fromkeys(rows))


def example_rows(policy: Policy) -> list[Concept]:
    """The rows of the policy's own examples."""
    rows = list[Concept]()
    for rule in policy.rules:
        rows.extend(Concept(text, rule.id, tuple(rule.safe_concepts)) for text in rule.examples.violating)
        rows.extend(Concept(text, None, ()) for text in rule.examples.allowed)
    return rows


def bare_twins(rows: Iterable[Concept]) -> list[Concept]:
    """The rows with accents once more without them: people leave accents out, and to the encoder a word without them is
    another one."""
    bare = ((row, without_accents(row.text)) for row in rows)
    return [row._replace(text=text) for row, text in bare if text != row.text]


def encode_missing(concepts: Iterable[Concept], encoder: Encoder, known: dict[str, Vector]) -> None:
    """Add the vectors that `known`, vectors by text, lacks: policies share most concepts, and encoding is slow."""
    missing = iter({concept.text: None for concept in concepts if concept.text not in known})
    while batch := list(islice(missing, BATCH)):
        known.update(zip(batch, encoder.encode(batch), strict=True))
