"""Letters that could be an English word are told from those that could not."""

from __future__ import annotations

import pytest

from agent.prompt.normalise.english import begins_word, plausible, wordlike


@pytest.mark.parametrize("word", ["blood", "knife", "soldier", "woman", "string", "photograph"])
def test_english_words_are_plausible_and_begin_like_words(word: str) -> None:
    assert plausible(word)
    assert begins_word(word)


@pytest.mark.parametrize("letters", ["ab", "xqz", "oybbq", "bbb", "krwtp", "кровь", "bl00d", "aaab"])
def test_other_letters_are_not_plausible(letters: str) -> None:
    assert not plausible(letters)


@pytest.mark.parametrize("letters", ["nxt", "mpact", "rtist", "apple", "lcohol"])
def test_letters_that_begin_no_english_word_are_recognised(letters: str) -> None:
    assert not begins_word(letters)


def test_english_has_more_common_pairs_than_its_rot13() -> None:
    assert wordlike("the wounded soldier") > 0.6 > 0.3 > wordlike("gur jbhaqrq fbyqvre")
    assert wordlike("1 2 3") == 0
