"""Prompts whose decision a reviewer overturned: nearly the same prompts follow the reviewer, not the detectors."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from difflib import SequenceMatcher

import numpy as np

from agent.judge.detect import Reading
from agent.policy.model import Policy
from agent.prompt.normalise import variants
from agent.retrieval.encoder import Encoder, Vectors
from agent.retrieval.index import ConceptIndex
from agent.store.reviews import Exemplar, Reviews
from propriety.verdict import Severity, Violation

# Cosine of near-duplicates: with the default encoder other spellings and synonyms reach .98, another object or person
# in the same sentence .97.
NEARLY_THE_SAME = 0.98
MAX_NEW_RUNS = 8


class Exemplars:
    """The exemplars in force, by tenant and policy. Replaced as a whole: no request sees half of them."""

    def __init__(self, encoder: Encoder, reviews: Reviews) -> None:
        self._encoder, self._reviews = encoder, reviews
        self._loaded_at: tuple[object, ...] | None = None
        self._by: dict[tuple[str | None, str], tuple[list[Exemplar], Vectors, str]] = {}

    def refresh(self) -> None:
        """Load the exemplars again if there are new reviews, from this process or another.

        Raises:
            SQLAlchemyError: the database cannot be read.
            SealError: they are encrypted with another key.
        """
        if (mark := self._reviews.mark()) == self._loaded_at:
            return
        grouped = defaultdict[tuple[str | None, str], list[Exemplar]](list)
        for exemplar in self._reviews.exemplars():
            grouped[exemplar.tenant, exemplar.policy].append(exemplar)
        self._by = {
            key: (
                group,
                self._encoder.encode([_plain(exemplar.prompt) for exemplar in group]),
                hashlib.sha256(repr(group).encode()).hexdigest(),
            )
            for key, group in grouped.items()
        }
        self._loaded_at = mark

    def edition(self, tenant: str, policy: Policy) -> str:
        """Changes whenever the exemplars that apply change; empty if none apply."""
        by = self._by
        return " ".join(by[key][-1] for key in ((tenant, policy.locale), (None, policy.locale)) if key in by)

    def nearest(self, prompt: str, tenant: str, policy: Policy) -> Exemplar | None:
        """The exemplar that is nearly the same as the prompt, the tenant's own first; None if there is none."""
        for key in (tenant, None):
            if entry := self._by.get((key, policy.locale)):
                group, vectors, _ = entry
                similarities = vectors @ self._encoder.encode([_plain(prompt)])[0]
                best = int(np.argmax(similarities))
                if similarities[best] >= NEARLY_THE_SAME:
                    return group[best]
        return None


def follow(reading: Reading, prompt: str, exemplar: Exemplar, policy: Policy, index: ConceptIndex) -> Reading:
    """The reviewer's decision on nearly the same prompt, in place of the reading.

    Rules are lifted only if no words that the exemplar lacks are near an offence: exchanging one word of a long prompt
    hardly changes its vector. A rule that is critical under the policy in force is never lifted, whatever it was when
    the decision was overturned.
    """
    if exemplar.lifted:
        if _adds_an_offence(prompt, exemplar, index):
            return reading
        critical = {rule.id for rule in policy.rules if rule.severity is Severity.CRITICAL}
        lifted = set(exemplar.rules) - critical
        kept = [violation for violation in reading.violations if violation.rule_id not in lifted]
        return reading._replace(violations=kept, score=max((one.confidence for one in kept), default=0.0))
    added = [
        Violation(
            rule_id=rule.id,
            category=rule.category,
            severity=rule.severity,
            confidence=1.0,
            rationale="a reviewer found that nearly the same prompt breaks this rule",
        )
        for rule in policy.rules
        if rule.id in exemplar.rules
    ]
    others = [violation for violation in reading.violations if violation.rule_id not in exemplar.rules]
    return reading._replace(violations=[*added, *others], score=1.0 if added else reading.score)


def _adds_an_offence(prompt: str, exemplar: Exemplar, index: ConceptIndex) -> bool:
    known = _words(_plain(exemplar.prompt))
    runs = list(dict.fromkeys(run for text in variants(prompt) for run in _new_runs(_words(text), known)))
    if len(runs) > MAX_NEW_RUNS:
        return True
    return any(windows[0].margin > 0 for run in runs for windows in index.search(run).windows.values())


def _new_runs(words: list[str], known: list[str]) -> list[str]:
    """Runs of words that replace known ones, or were added."""
    changes = SequenceMatcher(None, known, words, autojunk=False).get_opcodes()
    return [" ".join(words[start:end]) for change, _, _, start, end in changes if change in ("insert", "replace")]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _plain(prompt: str) -> str:
    return variants(prompt)[-1]
