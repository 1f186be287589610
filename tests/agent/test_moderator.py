"""What is made of a prompt's two readings, the raw and the normalised."""

import asyncio
from pathlib import Path

import pytest

from agent.moderator import Moderator
from agent.policy.lookup import lookup
from agent.settings import Settings
from evaluation.obfuscations import OBFUSCATIONS
from propriety.verdict import Detector


@pytest.fixture(scope="module")
def score(data_dir: Path):
    """The neighbours' risk of a prompt in Saudi Arabia."""
    moderator = Moderator(Settings(data_dir=data_dir))
    _, policy = lookup(moderator.policies, "ar-SA")
    return lambda prompt: asyncio.run(moderator.read(prompt, policy, Detector.NEAREST)).score


@pytest.mark.parametrize("how", ["zero-width", "mathematical", "base64", "url", "rot13", "spaced"])
@pytest.mark.parametrize("prompt", ["a woman with a wine glass on a beach", "a man with a bowl of fruit on a beach"])
def test_a_prompt_that_hides_what_it_says_is_judged_as_what_it_says(score, how: str, prompt: str) -> None:
    assert score(OBFUSCATIONS[how](prompt)) == pytest.approx(score(prompt), abs=0.01)


def test_what_either_reading_breaks_counts_where_both_can_be_read(score) -> None:
    assert score("a wine g1ass on a table, sunset over the sea") >= 0.5
    assert score("a table with a 🍷 on it") >= 0.5
