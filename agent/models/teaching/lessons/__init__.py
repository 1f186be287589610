"""The lessons of the embedded LLM: to judge a prompt by one rule, and to edit a prompt and keep the rest of it.

Each sheet in `sheets/` holds similar rules, and prompts labelled under each of them (y, n, - for arguable); the same
prompt often breaks one rule and not the other. `rewrites.jsonl` holds edits. The concept bank is taught under the rules
that list its topics. The policies' own tests are never taught, because they measure the judge.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agent.judge.client import Message
from agent.judge.question import NO, YES, as_data, conversation, instructions
from agent.policy.concept_bank import ConceptBank
from agent.policy.model import Policy, Rule
from agent.rewrite import EDITED, Swap, order
from agent.rewrite import INSTRUCTIONS as REWRITING

HERE = Path(__file__).parent
EDITS_PER_LESSON = 6
MAX_NO_PER_YES = 1.5
BANK_PHRASES_PER_LESSON = 16  # after the rule's own examples


class Lesson(NamedTuple):
    """A conversation that teaches each answer of the model, except those in its first `given` messages."""

    messages: list[Message]
    given: int = 1


def sheet_lessons(rng: random.Random) -> Iterator[Lesson]:
    """One lesson for each rule of each sheet: its prompts in random order, at most `MAX_NO_PER_YES` no per yes."""
    for sheet in read_sheets():
        for i, rule in enumerate(sheet["rules"]):
            violating = [(text, YES) for text, labels in sheet["prompts"] if labels[i] == "y"]
            allowed = [(text, NO) for text, labels in sheet["prompts"] if labels[i] == "n"]
            some = rng.sample(allowed, min(len(allowed), round(MAX_NO_PER_YES * max(len(violating), 2))))
            system = Message("system", instructions(rule["rule"], rule["allowed"]))
            yield Lesson([system, *_shuffled_turns(violating + some, rng)])


def bank_lessons(policies: Mapping[str, Policy], bank: ConceptBank, rng: random.Random) -> Iterator[Lesson]:
    """One lesson for each rule that has topics; a rule that several policies share is taught once.

    It asks about phrases of those topics, their safe replacements, and phrases that break rules of other categories.
    """
    seen = set[str]()
    for policy in policies.values():
        for rule in policy.rules:
            if rule.topics and rule.definition not in seen:
                seen.add(rule.definition)
                before = conversation(policy, rule)
                turns = _shuffled_turns(_bank_phrases(policy, rule, bank, rng), rng)
                yield Lesson([*before, *turns], len(before))


def rewriting_lessons(rng: random.Random) -> Iterator[Lesson]:
    """Lessons of several edits each; half of them begin with the examples that the rewriter always shows."""
    edits = read_edits()
    rng.shuffle(edits)
    for start in range(0, len(edits), EDITS_PER_LESSON):
        shown = [(prompt, swap, edited) for prompt, swap, edited in EDITED] if rng.random() < 0.5 else []
        taught = [
            (edit["prompt"], Swap(edit["remove"], edit["instead"]), edit["edited"])
            for edit in edits[start : start + EDITS_PER_LESSON]
        ]
        messages: list[Message] = [Message("system", REWRITING)]
        for prompt, swap, edited in [*shown, *taught]:
            messages += [order(prompt, swap), Message("ai", edited)]
        yield Lesson(messages, 1 + 2 * len(shown))


def read_sheets() -> list[dict[str, Any]]:
    """The sheets: `rules`, each with its `rule` and what is `allowed`; `prompts`, each a text and a label per rule."""
    return [sheet for path in sorted((HERE / "sheets").glob("*.jsonl")) for sheet in _read_lines(path)]


def read_edits() -> list[dict[str, Any]]:
    """The edits: `prompt`, what to `remove`, what to put `instead`, and the `edited` prompt."""
    return list(_read_lines(HERE / "rewrites.jsonl"))


def _bank_phrases(policy: Policy, rule: Rule, bank: ConceptBank, rng: random.Random) -> list[tuple[str, str]]:
    elsewhere = {topic for other in policy.rules if other.category is not rule.category for topic in other.topics}
    violating, near = list[str](), list[str]()
    for topic in (bank.topics[name] for name in rule.topics):
        violating += [unsafe.text for unsafe in topic.unsafe]
        near += [safe for unsafe in topic.unsafe for safe in unsafe.safe] + topic.safe
    foreign = [
        unsafe.text
        for name in elsewhere - set(rule.topics)
        if bank.topics[name].category is not rule.category
        for unsafe in bank.topics[name].unsafe
    ]
    known = {*rule.examples.violating, *rule.examples.allowed}
    share = BANK_PHRASES_PER_LESSON // 4
    turns = [(text, YES) for text in _sample_new(violating, known, 2 * share - 1, rng)]
    turns += [(text, NO) for text in _sample_new(near, known, share + 1, rng)]
    return turns + [(text, NO) for text in _sample_new(foreign, known, share, rng)]


def _sample_new(texts: Sequence[str], known: set[str], count: int, rng: random.Random) -> list[str]:
    fresh = sorted({*texts} - known)
    return rng.sample(fresh, min(count, len(fresh)))


def _shuffled_turns(turns: Sequence[tuple[str, str]], rng: random.Random) -> list[Message]:
    mixed = rng.sample(turns, len(turns))
    return [message for text, answer in mixed for message in (as_data(text), Message("ai", answer))]


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield json.loads(line)
