"""Obfuscations are deterministic, and the normaliser undoes those that only change the characters."""

import pytest

from agent.prompt.normalise import variants
from evaluation.obfuscations import OBFUSCATIONS

PROMPT = "a woman holding a glass of wine beside an old man on the beach"


@pytest.mark.parametrize("name", OBFUSCATIONS)
def test_each_changes_the_text_and_is_deterministic(name: str) -> None:
    once = OBFUSCATIONS[name](PROMPT)
    assert once != PROMPT
    assert once == OBFUSCATIONS[name](PROMPT)


@pytest.mark.parametrize("name", OBFUSCATIONS)
def test_empty_texts_and_other_scripts_are_accepted(name: str) -> None:
    assert OBFUSCATIONS[name]("") is not None
    assert isinstance(OBFUSCATIONS[name]("كأس نبيذ 🍷 \ud83d"[:-1]), str)


@pytest.mark.parametrize("name", ["homoglyphs", "fullwidth", "mathematical", "zero-width", "base64", "url", "rot13"])
def test_changes_of_characters_are_undone(name: str) -> None:
    assert variants(OBFUSCATIONS[name](PROMPT))[-1] == PROMPT


@pytest.mark.parametrize(("name", "max_lost"), [("leetspeak", 1), ("spaced", 0), ("emoji", 2)])
def test_of_other_obfuscations_most_words_are_recovered(name: str, max_lost: int) -> None:
    read = variants(OBFUSCATIONS[name](PROMPT))[-1].split()
    assert len(set(PROMPT.split()) - set(read)) <= max_lost, read
