"""What the embedded LLM is taught: to read one rule and judge by it, and to edit a prompt and keep the rest.

`sheets/` holds rules that are near each other, with prompts labelled under each (y, n, - for arguable), so that the
same prompt often breaks one and not the other; `rewrites.jsonl` holds edits. The concept bank is taught under the rules
that claim its topics. The policies' own tests are never taught: they are what the judge is measured by.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage

from agent.judge.question import NO, YES, as_data, conversation, instructions
from agent.policy.concept_bank import ConceptBank
from agent.policy.model import Policy, Rule
from agent.rewrite import EDITED, Swap, order
from agent.rewrite import INSTRUCTIONS as REWRITING

HERE = Path(__file__).parent
EDITS_AT_ONCE = 6
MOST_NO = 1.5  # for each yes
TOLD_AT_ONCE = 16  # phrases of the bank after a rule's own examples


class Exchange(NamedTuple):
    """A conversation of which each answer of the model is taught; those of `known` messages at its start are not."""

    messages: list[BaseMessage]
    known: int = 1


def judging(rng: random.Random) -> Iterator[Exchange]:
    """One conversation for each rule of each sheet, its prompts in any order, no more than some answered with no."""
    sheets = [sheet for path in sorted((HERE / "sheets").glob("*.jsonl")) for sheet in _lines(path)]
    for sheet in sheets:
        for i, rule in enumerate(sheet["rules"]):
            violating = [(text, YES) for text, labels in sheet["prompts"] if labels[i] == "y"]
            allowed = [(text, NO) for text, labels in sheet["prompts"] if labels[i] == "n"]
            some = rng.sample(allowed, min(len(allowed), round(MOST_NO * max(len(violating), 2))))
            yield Exchange([SystemMessage(instructions(rule["rule"], rule["allowed"])), *_asked(violating + some, rng)])


def telling(policies: Mapping[str, Policy], bank: ConceptBank, rng: random.Random) -> Iterator[Exchange]:
    """One conversation for each rule that has topics, the same in several policies but once: phrases of those topics,
    what stands in their place, and what breaks rules of other categories."""
    seen = set[str]()
    for policy in policies.values():
        for rule in policy.rules:
            if rule.topics and rule.definition not in seen:
                seen.add(rule.definition)
                before = conversation(policy, rule)
                yield Exchange([*before, *_asked(_phrases(policy, rule, bank, rng), rng)], len(before))


def editing(rng: random.Random) -> Iterator[Exchange]:
    """Conversations of several edits each, half of them after those that the rewriter is always shown."""
    edits = list(_lines(HERE / "rewrites.jsonl"))
    rng.shuffle(edits)
    for start in range(0, len(edits), EDITS_AT_ONCE):
        shown = [(prompt, swap, edited) for prompt, swap, edited in EDITED] if rng.random() < 0.5 else []
        taught = [
            (edit["prompt"], Swap(edit["remove"], edit["instead"]), edit["edited"])
            for edit in edits[start : start + EDITS_AT_ONCE]
        ]
        messages: list[BaseMessage] = [SystemMessage(REWRITING)]
        for prompt, swap, edited in [*shown, *taught]:
            messages += [order(prompt, swap), AIMessage(edited)]
        yield Exchange(messages, 1 + 2 * len(shown))


def _phrases(policy: Policy, rule: Rule, bank: ConceptBank, rng: random.Random) -> list[tuple[str, str]]:
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
    share = TOLD_AT_ONCE // 4
    turns = [(text, YES) for text in _some(violating, known, 2 * share - 1, rng)]
    turns += [(text, NO) for text in _some(near, known, share + 1, rng)]
    return turns + [(text, NO) for text in _some(foreign, known, share, rng)]


def _some(texts: Sequence[str], known: set[str], count: int, rng: random.Random) -> list[str]:
    fresh = sorted({*texts} - known)
    return rng.sample(fresh, min(count, len(fresh)))


def _asked(turns: Sequence[tuple[str, str]], rng: random.Random) -> list[BaseMessage]:
    mixed = rng.sample(turns, len(turns))
    return [message for text, answer in mixed for message in (as_data(text), AIMessage(answer))]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield json.loads(line)
