"""The concept bank and its FAISS index under a policy: the nearest-neighbour detector of the seed paper.

All policies share one index of the bank, and each reads it by its own rules: a wine glass is near to an offence in one
place and near to nothing in another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from agent.policy.concept_bank import ConceptBank
from agent.policy.model import Policy
from agent.prompt.normalise.folding import without_accents
from agent.retrieval.concepts import Concept, bank_rows, bare_twins, concepts_under, encode_missing
from agent.retrieval.encoder import Encoder, Vector, Vectors
from agent.retrieval.windows import Passage, passages_of
from propriety.verdict import Span

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NEIGHBOURS = 32
QUOTES = str.maketrans("", "", '"„“”«»「」『』')  # to the encoder, a word in quotes is a title
MAX_WINDOWS = 96  # read in full; of a longer prompt, the passages whose sketches are nearest to an offence
# What each e-fold of passages takes from the margins: the best of many is biased upwards, and a long text would offend
# by its length alone.
PASSAGES_SCALE = 0.004


class Window(NamedTuple):
    """A stretch of the prompt and the nearest concept of a rule: `margin` > 0 if what is safe is farther away.

    passage: where it stands, in a prompt of several passages.
    """

    span: Span
    concept: Concept
    similarity: float
    margin: float
    passage: Span | None = None


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
        rows = bank_rows(bank)
        self.index, self.bare = self.indexed(rows), self.indexed(bare_twins(rows))

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
    """The concepts of one policy: the bank's index and one over the policy's own examples, searched as one.

    A text without accents is compared with the concepts' spelling without accents too.
    """

    def __init__(self, policy: Policy, bank: IndexedBank) -> None:
        rows = concepts_under(policy, bank.bank)
        shared, own = rows[: bank.index.ntotal], rows[bank.index.ntotal :]
        own_bare = bare_twins(own)
        self.concepts = [*rows, *bare_twins(shared), *own_bare]
        self._encoder = bank.encoder
        shards = [bank.index, bank.indexed(own), bank.bare, bank.indexed(own_bare)]
        self._accented, self._index = _as_one(shards[:2]), _as_one(shards)
        self._safe = safe = np.array([concept.rule_id is None for concept in self.concepts])
        self._company = {}
        for rule in policy.rules:
            if rule.only_with:
                within = np.array([concept.topic in rule.only_with for concept in self.concepts])
                self._company[rule.id] = within, safe & ~within

    def search(self, prompt: str) -> Found:
        """Which stretches of the prompt are near to which rule. A long prompt is searched passage by passage."""
        index = self._index if without_accents(prompt) == prompt else self._accented
        passages = passages_of(prompt)
        parts = [passage.windows for passage in passages]
        if sum(map(len, parts)) > MAX_WINDOWS and len(parts) > 1:
            parts = self._narrowed(passages, index)
        found = self._read(parts, index)
        if len(found) == 1:
            return found[0]
        lowered = PASSAGES_SCALE * math.log(len(found))
        windows: dict[str, list[Window]] = {}
        for passage, part in zip(passages, found, strict=True):
            for rule_id, near in part.windows.items():
                less = 0.0 if rule_id in self._company else lowered
                windows.setdefault(rule_id, []).extend(
                    one._replace(margin=one.margin - less, passage=passage.windows[0]) for one in near
                )
        for near in windows.values():
            near.sort(key=lambda window: -window.margin)
        company = {rule_id: max(part.company[rule_id] for part in found) for rule_id in self._company}
        return Found(windows, company)

    def _narrowed(self, passages: list[Passage], index: Any) -> list[list[Span]]:
        """The windows of the passages nearest to an offence, and the sketches of the others."""
        parts = [passage.sketch for passage in passages]
        promises = self._promises(self._read(parts, index))
        left = MAX_WINDOWS
        for i in sorted(range(len(parts)), key=lambda i: -promises[i]):
            left -= len(passages[i].windows)
            if left < 0:
                break
            parts[i] = passages[i].windows
        return parts

    def _promises(self, found: list[Found]) -> list[float]:
        """For each passage its highest margin. Of a rule with `only_with`, one half may stand in another passage."""
        rules = {rule_id: max(_margin(part, rule_id) for part in found) for rule_id in self._company}
        company = {rule_id: max(part.company[rule_id] for part in found) for rule_id in self._company}
        return [
            max(
                max((_margin(part, rule_id) for rule_id in part.windows if rule_id not in rules), default=-1.0),
                *(min(_margin(part, rule_id), company[rule_id]) for rule_id in rules),
                *(min(part.company[rule_id], rules[rule_id]) for rule_id in rules),
                -1.0,
            )
            for part in found
        ]

    def _read(self, parts: list[list[Span]], index: Any) -> list[Found]:
        """What each part is near to; its windows must begin with the whole of it."""
        vectors = self._encoder.encode([span.text.translate(QUOTES) for spans in parts for span in spans])
        similarities, rows = index.search(vectors, min(NEIGHBOURS, index.ntotal))
        ends = np.cumsum([len(spans) for spans in parts])
        return [
            self._found(spans, similarities[end - len(spans) : end], rows[end - len(spans) : end])
            for spans, end in zip(parts, ends, strict=True)
        ]

    def _found(self, spans: list[Span], similarities: Vectors, rows: Rows) -> Found:
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


def _as_one(shards: list[Any]) -> Any:
    index = faiss.IndexShards(shards[0].d)
    for shard in shards:
        index.add_shard(shard)
    return index


def _margin(found: Found, rule_id: str) -> float:
    return found.windows[rule_id][0].margin if rule_id in found.windows else -1.0


def _nearest(similarities: Vectors, rows: Rows, among: Mask) -> Vector:
    """Cosine of each stretch to the nearest of the concepts `among`, or to its last neighbour if none is among them."""
    return np.asarray(np.where(among[rows], similarities, similarities[:, -1:]).max(axis=1), dtype=np.float32)


def _around(spans: list[Span], safest: Vector) -> Vector:
    """The safest of the stretches that contain each one: they show what its words mean, as "a water pistol" does for
    "pistol"."""
    starts, ends = np.array([(span.start, span.end) for span in spans]).T
    holds = (starts <= starts[:, None]) & (ends >= ends[:, None])
    return np.asarray(np.where(holds, safest, -1).max(axis=1), dtype=np.float32)
