"""Prompts that a person decided on otherwise: whatever is nearly the same follows them, before detector and policy."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import NamedTuple

import numpy as np

from agent.judge.detect import Reading
from agent.policy.model import Policy
from agent.prompt.normalise import variants
from agent.retrieval.encoder import Encoder, Vectors
from agent.retrieval.index import ConceptIndex
from propriety.verdict import Violation

# Cosine of near-duplicates: with the default encoder other spellings and synonyms reach .98, another object or person
# in the same sentence .97.
NEAR = 0.98
MOST_NEW_RUNS = 8


class Exemplar(NamedTuple):
    """`lifted`: the rules are not broken; else they are. `tenant` is None where it holds for all."""

    verdict_id: str
    tenant: str | None
    policy: str
    rules: tuple[str, ...]
    lifted: bool
    prompt: str


class Exemplars:
    """The exemplars in force, by tenant and policy; exchanged as a whole, so that no request sees half of them."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._by: dict[tuple[str | None, str], tuple[list[Exemplar], Vectors, str]] = {}

    def load(self, exemplars: Iterable[Exemplar]) -> None:
        """Put these in the place of those before."""
        grouped = defaultdict[tuple[str | None, str], list[Exemplar]](list)
        for exemplar in exemplars:
            grouped[exemplar.tenant, exemplar.policy].append(exemplar)
        self._by = {
            key: (
                group,
                self._encoder.encode([_plain(exemplar.prompt) for exemplar in group]),
                hashlib.sha256(repr(group).encode()).hexdigest(),
            )
            for key, group in grouped.items()
        }

    def edition(self, tenant: str, policy: Policy) -> str:
        """Another one where other exemplars hold; empty where there are none."""
        by = self._by
        return " ".join(by[key][-1] for key in ((tenant, policy.locale), (None, policy.locale)) if key in by)

    def nearest(self, prompt: str, tenant: str, policy: Policy) -> Exemplar | None:
        """The exemplar that a prompt is nearly the same as: the tenant's own first."""
        for key in (tenant, None):
            if found := self._by.get((key, policy.locale)):
                group, vectors, _ = found
                similarities = vectors @ self._encoder.encode([_plain(prompt)])[0]
                best = int(np.argmax(similarities))
                if similarities[best] >= NEAR:
                    return group[best]
        return None


def follow(reading: Reading, prompt: str, exemplar: Exemplar, policy: Policy, index: ConceptIndex) -> Reading:
    """What a person said of nearly the same prompt, in the place of what was read.

    Rules are lifted only where no words that the exemplar lacks are near to an offence: a long prompt stays near in
    spite of one word exchanged.
    """
    if exemplar.lifted:
        if _adds_an_offence(prompt, exemplar, index):
            return reading
        kept = [violation for violation in reading.violations if violation.rule_id not in exemplar.rules]
        return reading._replace(violations=kept, score=max((one.confidence for one in kept), default=0.0))
    added = [
        Violation(
            rule_id=rule.id,
            category=rule.category,
            severity=rule.severity,
            confidence=1.0,
            rationale="a reviewer found nearly the same prompt to break this rule",
        )
        for rule in policy.rules
        if rule.id in exemplar.rules
    ]
    others = [violation for violation in reading.violations if violation.rule_id not in exemplar.rules]
    return reading._replace(violations=[*added, *others], score=1.0 if added else reading.score)


def _adds_an_offence(prompt: str, exemplar: Exemplar, index: ConceptIndex) -> bool:
    known = _words(_plain(exemplar.prompt))
    runs = list(dict.fromkeys(run for text in variants(prompt) for run in _new_runs(_words(text), known)))
    if len(runs) > MOST_NEW_RUNS:
        return True
    return any(windows[0].margin > 0 for run in runs for windows in index.search(run).windows.values())


def _new_runs(words: list[str], known: list[str]) -> list[str]:
    """Stretches of words that stand where the known ones have others, or none."""
    changes = SequenceMatcher(None, known, words, autojunk=False).get_opcodes()
    return [" ".join(words[start:end]) for change, _, _, start, end in changes if change in ("insert", "replace")]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _plain(prompt: str) -> str:
    return variants(prompt)[-1]
