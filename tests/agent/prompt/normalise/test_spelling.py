"""Words spelt letter by letter are joined, and an "a" that was spelt with its noun stays a word."""

from __future__ import annotations

import pytest

from agent.prompt.normalise.spelling import join_spaced


@pytest.mark.parametrize(
    ("spelt", "plain"),
    [
        ("b l o o d everywhere", "blood everywhere"),
        ("b.l.o.o.d", "blood"),
        ("n-u-d-e statue", "nude statue"),
        ("v a p o r w a v e", "vaporwave"),
        ("к р о в ь", "кровь"),
        ("s a n g r e en la pared", "sangre en la pared"),
        ("α ί μ α τ α", "αίματα"),
        ("a   w i n e   g l a s s   o n   a   t a b l e", "a wine glass on a table"),
        ("c h l e b   d o   p i e c a", "chleb do pieca"),
    ],
)
def test_spelt_words_are_joined(spelt: str, plain: str) -> None:
    assert join_spaced(spelt) == plain


@pytest.mark.parametrize(
    ("spelt", "plain"),
    [
        ("a k n i f e in a room", "a knife in a room"),
        ("holding a g u n", "holding a gun"),
        ("A B O M B", "A BOMB"),
        ("a-r-i-f-l-e", "a rifle"),
        ("a.s.w.o.r.d on a wall", "a sword on a wall"),
        ("a n u d e woman", "a nude woman"),
        ("a w i n e glass", "a wine glass"),
        ("a c i g a r e t t e", "a cigarette"),
        ("a s k e l e t o n", "a skeleton"),
        ("a b o t t l e of beer", "a bottle of beer"),
        ("a c o r p s e", "a corpse"),
        ("a k n і f е", "a knife"),
    ],
)
def test_a_spelt_article_stays_a_word(spelt: str, plain: str) -> None:
    assert join_spaced(spelt) == plain


@pytest.mark.parametrize(
    "word",
    ["alcohol", "alien", "ammo", "animal", "anal", "anus", "arab", "arson", "assassin", "assault", "abuse", "aside",
     "amputated", "abortion", "about", "around", "avenue", "angel", "artist", "axe"],
)  # fmt: skip
def test_a_spelt_word_that_begins_with_a_stays_whole(word: str) -> None:
    assert join_spaced(" ".join(word)) == word


@pytest.mark.parametrize("text", ["U.S.A.", "J.R.R. Tolkien", "x y z", "plan A B C", "a b c d", "T-shirt", "1 2 3 4"])
def test_initials_and_lists_of_letters_stay(text: str) -> None:
    assert join_spaced(text) == text
