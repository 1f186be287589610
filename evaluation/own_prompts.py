"""Propriety's own prompts, in `evaluation/prompts/`."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from agent.policy.model import Expectation
from propriety.verdict import ChatMessage, Strict

PROMPTS = Path(__file__).parent / "prompts"
Item = TypeVar("Item")


class Prompt(Strict):
    """A prompt; some files name the locale that it is judged under, and the rule that it breaks there."""

    id: str
    text: str
    lang: str
    label: str | None = None
    locale: str = "en-US"
    rule: str | None = None


class Conversation(Strict):
    """A chat of several turns, and the expected decision on the last one."""

    id: str
    kind: str
    locale: str
    messages: list[ChatMessage]
    expect: Expectation


def read_prompts(name: str, form: type[Item]) -> list[Item]:
    """The rows of `evaluation/prompts/<name>.jsonl`, in order."""
    lines = (PROMPTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [TypeAdapter(form).validate_json(line) for line in lines if line.strip()]
