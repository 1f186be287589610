"""Obfuscations hide words the same way each time, and the normaliser sees through a change of writing alone."""

import pytest

from agent.prompt.normalise import variants
from evaluation.obfuscations import OBFUSCATIONS

PROMPT = "a woman holding a glass of wine beside an old man on the beach"


@pytest.mark.parametrize("name", OBFUSCATIONS)
def test_each_changes_the_text_and_is_the_same_each_time(name: str) -> None:
    once = OBFUSCATIONS[name](PROMPT)
    assert once != PROMPT
    assert once == OBFUSCATIONS[name](PROMPT)


@pytest.mark.parametrize("name", OBFUSCATIONS)
def test_letters_of_other_scripts_and_none_at_all_are_left_alone(name: str) -> None:
    assert OBFUSCATIONS[name]("") is not None
    assert isinstance(OBFUSCATIONS[name]("كأس نبيذ 🍷 \ud83d"[:-1]), str)


@pytest.mark.parametrize("name", ["homoglyphs", "fullwidth", "mathematical", "zero-width", "base64", "url", "rot13"])
def test_what_only_changes_the_writing_is_undone(name: str) -> None:
    assert variants(OBFUSCATIONS[name](PROMPT))[-1] == PROMPT


@pytest.mark.parametrize(("name", "most"), [("leetspeak", 1), ("spaced", 0), ("emoji", 2)])
def test_of_the_others_most_words_come_back(name: str, most: int) -> None:
    read = variants(OBFUSCATIONS[name](PROMPT))[-1].split()
    assert len(set(PROMPT.split()) - set(read)) <= most, read
