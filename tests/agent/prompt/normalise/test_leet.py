"""Leetspeak is read as words, and names, numbers and units stay."""

from __future__ import annotations

import pytest

from agent.prompt.normalise.leet import fold_leet


@pytest.mark.parametrize(
    ("leet", "plain"),
    [
        ("bl00d on the wall", "blood on the wall"),
        ("BL00D", "BLOOD"),
        ("b1ood", "blood"),
        ("n4ked man", "naked man"),
        ("k1ll and k!ll", "kill and kill"),
        ("nud3 statue", "nude statue"),
        ("5ex and $ex", "sex and sex"),
        ("Wh47 15 73rr0r15m 4nd wh3r3?", "What is terrorism and where?"),
        ("A h0r53 0n 7h3 b34ch 47 n1gh7", "A horse on the beach at night"),
    ],
)
def test_leetspeak_is_read(leet: str, plain: str) -> None:
    assert fold_leet(leet) == plain


@pytest.mark.parametrize(
    "text", ["c3po and r2d2", "an mp3 player, 4k, 1080p", "3am in the 1990s", "user@example.com for $5", "21st, 2nd"]
)
def test_names_numbers_and_units_stay(text: str) -> None:
    assert fold_leet(text) == text
