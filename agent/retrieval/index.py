"""The concept bank and its FAISS index under a policy: the nearest-neighbour detector of the seed paper.

A concept offends only where a rule of the policy claims its topic; elsewhere the same phrase is an ordinary, safe one.
So each policy reads the one index of the bank by its own rules, and a wine glass is a neighbour of trouble in one place
only.
"""

from __future__ import annotations

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
    """A stretch of the prompt and its two nearest concepts: `margin` > 0 where the offending one is nearer."""

    span: Span
    concept: Concept
    similarity: float
    margin: float


class Found(NamedTuple):
    """What a prompt is near to.

    `windows`: rule id to the stretches nearest to it, most telling first, by falling margin: cosine to the nearest
    concept of the rule, less that to what is safe, which is the mean of the stretch's own and of the safest around it;
    or less that to another rule where it is nearer still, as the same words break one rule. A rule with `only_with` is
    measured by the stretch's own words. `beside`: for each rule with `only_with`, the highest
    margin of any stretch to those topics.
    """

    windows: dict[str, list[Window]]
    beside: dict[str, float]


class IndexedBank:
    """The concept bank, and a FAISS inner-product index over its phrases, which all policies share: it is large."""

    def __init__(self, bank: ConceptBank, encoder: Encoder, known: dict[str, Vector]) -> None:
        """`known` holds vectors by text, and is added to."""
        self.bank, self.encoder, self._known = bank, encoder, known
        self._dimensions = encoder.encode(["safe"]).shape[1]
        self.index = self.indexed(bank_rows(bank))

    def indexed(self, concepts: list[Concept]) -> Any:
        """An index of its own over these, in their order."""
        encode_missing(concepts, self.encoder, self._known)
        vectors = np.array([self._known[concept.text] for concept in concepts], dtype=np.float32)
        index = faiss.IndexFlatIP(self._dimensions)
        index.add(vectors.reshape(-1, self._dimensions))
        return index


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
        """The stretches of the prompt that are near to a rule."""
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
        beside = {}
        for rule_id, (within, safe) in self._company.items():
            margins = _nearest(similarities, rows, within) - _nearest(similarities, rows, safe)
            beside[rule_id] = float(margins.max())
        return Found(found, beside)


def _nearest(similarities: Vectors, rows: Rows, among: Mask) -> Vector:
    """How near each stretch is to the concepts `among`, or to the last of its neighbours where none is one of them."""
    return np.asarray(np.where(among[rows], similarities, similarities[:, -1:]).max(axis=1), dtype=np.float32)


def _around(spans: list[Span], safest: Vector) -> Vector:
    """The safest of the stretches that hold each: they tell what its words mean ("pistol" in "a water pistol")."""
    starts, ends = np.array([(span.start, span.end) for span in spans]).T
    holds = (starts <= starts[:, None]) & (ends >= ends[:, None])
    return np.asarray(np.where(holds, safest, -1).max(axis=1), dtype=np.float32)
