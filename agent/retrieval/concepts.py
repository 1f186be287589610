"""The concepts under a policy: rows of its index, each with the rule that it breaks or none.

A concept offends only where a rule of the policy claims its topic; elsewhere the same phrase is an ordinary, safe one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agent.policy.concept_bank import ConceptBank
from agent.policy.model import Policy, Rule
from agent.retrieval.encoder import Encoder, Vector


class Concept(NamedTuple):
    """A row of the index; `rule_id` is None for what is safe here, `topic` for all but the bank's unsafe phrases."""

    text: str
    rule_id: str | None
    safe: tuple[str, ...]
    topic: str | None = None


def concepts_under(policy: Policy, bank: ConceptBank) -> list[Concept]:
    """The bank and the policy's own examples as rows, each with the rule that it breaks or None.

    The bank's come first, and are of the same texts in the same order under every policy.
    """
    rows = bank_rows(bank, policy.rules)
    for rule in policy.rules:
        rows.extend(Concept(text, rule.id, tuple(rule.safe_concepts)) for text in rule.examples.violating)
        rows.extend(Concept(text, None, ()) for text in rule.examples.allowed)
    return list(dict.fromkeys(rows))


def bank_rows(bank: ConceptBank, rules: Sequence[Rule] = ()) -> list[Concept]:
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


def encode_missing(concepts: Iterable[Concept], encoder: Encoder, known: dict[str, Vector]) -> None:
    """Add to `known`, vectors by text, those that it lacks: policies share most concepts, and encoding is slow."""
    if missing := list({concept.text: None for concept in concepts if concept.text not in known}):
        known.update(zip(missing, encoder.encode(missing), strict=True))
