"""The concept bank and its FAISS index under a policy: the nearest-neighbour detector of the seed paper.

A concept offends only where a rule of the policy claims its topic; elsewhere the same phrase is an ordinary, safe one.
So each policy reads the one index of the bank by its own rules, and a wine glass is a neighbour of trouble in one place
only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from agent.policy.files import PolicyError, concept_files, explain, read_yaml
from agent.policy.model import Policy, Rule, Text
from agent.retrieval.encoder import Encoder, Vector, Vectors
from propriety.verdict import Category, Span, Strict

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NEIGHBOURS = 32
LONGEST_WINDOW = 5
MAX_WINDOWS = 96


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


class Concept(NamedTuple):
    """A row of the index; `rule_id` is None for what is safe here, `topic` for all but the bank's unsafe phrases."""

    text: str
    rule_id: str | None
    safe: tuple[str, ...]
    topic: str | None = None


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


def concepts_under(policy: Policy, bank: ConceptBank) -> list[Concept]:
    """The bank and the policy's own examples as rows, each with the rule that it breaks or None.

    The bank's come first, and are of the same texts in the same order under every policy.
    """
    rows = _bank_rows(bank, policy.rules)
    for rule in policy.rules:
        rows.extend(Concept(text, rule.id, tuple(rule.safe_concepts)) for text in rule.examples.violating)
        rows.extend(Concept(text, None, ()) for text in rule.examples.allowed)
    return list(dict.fromkeys(rows))


def _bank_rows(bank: ConceptBank, rules: Sequence[Rule] = ()) -> list[Concept]:
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


def windows_of(prompt: str) -> list[Span]:
    """The whole prompt first, then its stretches of two to five words, at most `MAX_WINDOWS` in all.

    Scripts that leave no spaces between words are cut by characters.
    """
    words = [match.span() for match in re.finditer(r"\S+", prompt)]
    if words and len(prompt) / len(words) > 14:
        words = [(start, min(start + 4, len(prompt))) for start in range(0, len(prompt), 4)]
    whole = Span(start=0, end=len(prompt), text=prompt)
    return [whole, *_stretches(prompt, words)][:MAX_WINDOWS]


def _stretches(prompt: str, words: list[tuple[int, int]]) -> Iterator[Span]:
    stride = 1 + len(words) * (LONGEST_WINDOW - 1) // MAX_WINDOWS
    for first in range(0, len(words), stride):
        for size in range(2, LONGEST_WINDOW + 1):
            if first + size <= len(words) and size < len(words):
                start, end = words[first][0], words[first + size - 1][1]
                yield Span(start=start, end=end, text=prompt[start:end])


class IndexedBank:
    """The concept bank, and a FAISS inner-product index over its phrases, which all policies share: it is large."""

    def __init__(self, bank: ConceptBank, encoder: Encoder, known: dict[str, Vector]) -> None:
        """`known` holds vectors by text, and is added to."""
        self.bank, self.encoder, self._known = bank, encoder, known
        self._dimensions = encoder.encode(["safe"]).shape[1]
        self.index = self.indexed(_bank_rows(bank))

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
