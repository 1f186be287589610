"""The concept bank and its FAISS index under a policy: the nearest-neighbour detector of the seed paper.

All policies share one index of the bank, and each reads it by its own rules: a wine glass is near to an offence in one
place and near to nothing in another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from agent.policy.concept_bank import ConceptBank
from agent.policy.model import Policy
from agent.retrieval.concepts import Concept, bank_rows, concepts_under, encode_missing
from agent.retrieval.encoder import Encoder, Vector, Vectors
from agent.retrieval.windows import windows_of
from propriety.verdict import Span

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NEIGHBOURS = 32


class Window(NamedTuple):
    """A stretch of the prompt and the nearest concept of a rule: `margin` > 0 if what is safe is farther away."""

    span: Span
    concept: Concept
    similarity: float
    margin: float


class Found(NamedTuple):
    """What a prompt is near to.

    windows: rule id to the stretches near to it, by falling margin. The margin is the cosine to the nearest concept of
        the rule, less the cosine to what is safe: the mean of the stretch's own nearest safe concept and that of the
        safest stretch around it. If another rule is nearer than that, its cosine is deducted instead, since the same
        words break one rule. For a rule with `only_with` only the stretch's own words count.
    company: for each rule with `only_with`, the highest margin of any stretch to those topics.
    """

    windows: dict[str, list[Window]]
    company: dict[str, float]


class IndexedBank:
    """The concept bank and a FAISS inner-product index over its phrases. All policies share it, since it is large."""

    def __init__(self, bank: ConceptBank, encoder: Encoder, known: dict[str, Vector]) -> None:
        """`known` holds vectors by text. Missing ones are encoded and added."""
        self.bank, self.encoder, self._known = bank, encoder, known
        self._dimensions = encoder.encode(["safe"]).shape[1]
        self.index = self.indexed(bank_rows(bank))

    def indexed(self, concepts: list[Concept]) -> Any:
        """A separate index over these concepts, in their order."""
        encode_missing(concepts, self.encoder, self._known)
        vectors = np.array([self._known[concept.text] for concept in concepts], dtype=np.float32)
        index = faiss.IndexFlatIP(self._dimensions)
        index.add(vectors.reshape(-1, self._dimensions))
        return index

    def keep_vectors_of(self, concepts: Iterable[Concept]) -> None:
        """Free the known vectors except those of these concepts. The index has its own copy."""
        self._known = {concept.text: self._known[concept.text].copy() for concept in concepts}


class ConceptIndex:
    """The concepts of one policy: the bank's index and one over the policy's own examples, searched as one."""

    def __init__(self, policy: Policy, bank: IndexedBank) -> None:
        self.concepts = concepts_under(policy, bank.bank)
        self._encoder = bank.encoder
        self._index: Any = faiss.IndexShards(bank.index.d)
        self._index.add_shard(bank.index)
        self._index.add_shard(bank.indexed(self.concepts[bank.index.ntotal :]))
        self._safe = safe = np.array([concept.rule_id is None for concept in self.concepts])
        self._company = {}
        for rule in policy.rules:
            if rule.only_with:
                within = np.array([concept.topic in rule.only_with for concept in self.concepts])
                self._company[rule.id] = within, safe & ~within

    def search(self, prompt: str) -> Found:
        """Which stretches of the prompt are near to which rule."""
        spans = windows_of(prompt)
        vectors = self._encoder.encode([span.text for span in spans])
        similarities, rows = self._index.search(vectors, min(NEIGHBOURS, len(self.concepts)))
        safest = _nearest(similarities, rows, self._safe)
        around = _around(spans, safest)
        found: dict[str, list[Window]] = {}
        for span, alone, in_view, similar, nearest in zip(spans, safest, around, similarities, rows, strict=True):
            seen: set[str] = set()
            best = (alone + in_view) / 2
            for similarity, row in zip(similar, nearest, strict=True):
                concept = self.concepts[row]
                if concept.rule_id is None or concept.rule_id in seen:
                    continue
                seen.add(concept.rule_id)
                joint = concept.rule_id in self._company
                margin = float(similarity - (alone if joint else best))
                best = best if joint else max(best, similarity)
                found.setdefault(concept.rule_id, []).append(Window(span, concept, float(similarity), margin))
        for windows in found.values():
            windows.sort(key=lambda window: -window.margin)
        company = {}
        for rule_id, (within, safe) in self._company.items():
            margins = _nearest(similarities, rows, within) - _nearest(similarities, rows, safe)
            company[rule_id] = float(margins.max())
        return Found(found, company)


def _nearest(similarities: Vectors, rows: Rows, among: Mask) -> Vector:
    """Cosine of each stretch to the nearest of the concepts `among`, or to its last neighbour if none is among them."""
    return np.asarray(np.where(among[rows], similarities, similarities[:, -1:]).max(axis=1), dtype=np.float32)


def _around(spans: list[Span], safest: Vector) -> Vector:
    """The safest of the stretches that contain each one: they show what its words mean, as "a water pistol" does for
    "pistol"."""
    starts, ends = np.array([(span.start, span.end) for span in spans]).T
    holds = (starts <= starts[:, None]) & (ends >= ends[:, None])
    return np.asarray(np.where(holds, safest, -1).max(axis=1), dtype=np.float32)
