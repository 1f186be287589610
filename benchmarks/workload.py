"""The prompts that the benchmarks send."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain, permutations
from typing import NamedTuple

from evaluation.own_prompts import Conversation, Prompt, read_prompts

OFFENDING, HARMLESS, TURN = "offending", "harmless", "turn"


class Request(NamedTuple):
    """A prompt, and the BCP-47 locale under whose policy it is judged. `kind` is one of the constants above."""

    text: str
    locale: str
    kind: str


def requests() -> list[Request]:
    """The prompts of `evaluation/prompts/*.jsonl` and the last turn of each conversation there, without repetitions."""
    single = (
        Request(prompt.text, prompt.locale, OFFENDING if prompt.rule else HARMLESS)
        for name in ("flips", "artefacts", "sounds_unsafe")
        for prompt in read_prompts(name, Prompt)
    )
    turns = (
        Request(conversation.messages[-1].content, conversation.locale, TURN)
        for conversation in read_prompts("conversations", Conversation)
    )
    unique = list({request.text: request for request in chain(single, turns)}.values())
    random.Random(0).shuffle(unique)  # so that any number of them has all kinds
    return unique


def endless_requests() -> Iterator[Request]:
    """More than 200,000 prompts, each made of two others, without repetitions."""
    for one, other in permutations(requests(), 2):
        yield one._replace(text=f"{one.text}, {other.text}")
