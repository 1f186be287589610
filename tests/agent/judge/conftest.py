"""The shipped policies, read without the LLM."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.moderator import Moderator
from agent.open_moderator import open_moderator
from agent.settings import Settings
from propriety.verdict import ChatMessage, Detector, Verdict


@pytest.fixture(scope="session")
def shipped(data_dir: Path) -> Iterator[Moderator]:
    """A moderator on the shipped policies, whose LLM cannot be reached."""
    moderator = open_moderator(Settings(data_dir=data_dir, llm_url="http://127.0.0.1:9/v1"))
    with moderator.store:
        yield moderator


@pytest.fixture(scope="session")
def moderate(loop: asyncio.Runner, shipped: Moderator) -> Callable[[str, str], Verdict]:
    """The neighbours' verdict on a prompt in a locale."""
    return lambda prompt, locale: loop.run(
        shipped.moderate([ChatMessage(role="user", content=prompt)], locale, Detector.NEAREST)
    )


@pytest.fixture(scope="session")
def broken_by(loop: asyncio.Runner, shipped: Moderator) -> Callable[[str, str], set[str]]:
    """The rules that a prompt breaks in a locale, by the neighbours; nothing is rewritten."""

    def read(prompt: str, locale: str) -> set[str]:
        policy = loop.run(shipped.policies.resolve(locale)).policy
        return {found.rule_id for found in loop.run(shipped.read(prompt, policy, Detector.NEAREST)).violations}

    return read
