"""Words of a normalised text are found in the text as it was sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.prompt.align import Alignment
from agent.prompt.normalise import variants
from evaluation.obfuscations import OBFUSCATIONS
from propriety.verdict import Span

LETTERS = st.sampled_from("aew1 3@.кб́قبَـ־שּׁ愛の🍷🇩🇪👩🏽‍🚀㍿ﷺɡﬁ\u200bÅ\u0301ด้\n")
TEXTS = st.text(LETTERS, max_size=60) | st.text(max_size=30)


def span_of(text: str, words: str) -> Span:
    start = text.index(words)
    return Span(start=start, end=start + len(words), text=words)


@given(TEXTS, st.data())
def test_every_span_is_a_slice_of_what_was_sent(sent: str, data: st.DataObject) -> None:
    plain = variants(sent)[-1]
    start = data.draw(st.integers(0, len(plain)))
    end = data.draw(st.integers(start, len(plain)))
    found = Alignment(sent, plain).span(Span(start=start, end=end, text=plain[start:end]))
    assert sent[found.start : found.end] == found.text


@pytest.mark.parametrize(
    ("sent", "words", "expected"),
    [
        ("a w1ne g1ass in the hands of a woman", "a wine glass", "a w1ne g1ass"),
        ("🍾 a toast: a woman raises her ɡlass of wine", "glass of wine", "ɡlass of wine"),
        ("a table with a 🍷 on it", "wine glass", "🍷"),
        ("a woman with a b e e r on a beach", "beer", "b e e r"),
        ("a ｗｉｎｅ glass on a table", "wine glass", "ｗｉｎｅ glass"),
        ("ein Mаnn mit Wеin am Strand", "Wein", "Wеin"),
        ("a ㍿ with a 🅶🆄🅽 on a table", "GUN", "🅶🆄🅽"),
        ("a man with a %67%75%6E in a room", "gun", "%67%75%6E"),
        ("女人拿着ｗine在海滩", "wine", "ｗine"),
        ("a red wine glass", "wine", "wine"),
        ("BİR KADININ ELİNDE ŞARAP KADEHİ", "şarap", "ŞARAP"),
        ("KIELISZEK WINA NA ŁÓŻKU", "łóżku", "ŁÓŻKU"),
        ("A WOMAN HOLDS A WINE GLASS", "wine glass", "WINE GLASS"),
        ("كَأْسُ نَبِيذٍ عَلَى الطَّاوِلَةِ", "نبيذ", "نَبِيذٍ"),
        ("كـــأس نبيــــذ على الطاولـــة", "نبيذ", "نبيــــذ"),
        ("כּוֹס יַיִן עַל הַשּׁוּלְחָן", "יין", "יַיִן"),
    ],
)
def test_words_are_found_as_they_were_written(sent: str, words: str, expected: str) -> None:
    plain = variants(sent)[-1]
    assert Alignment(sent, plain).span(span_of(plain, words)).text == expected


@pytest.mark.parametrize("how", sorted(OBFUSCATIONS))
def test_an_obfuscated_prompt_has_spans_whatever_was_done_to_it(how: str) -> None:
    sent = OBFUSCATIONS[how]("a woman holding a wine glass on a beach")
    plain = variants(sent)[-1]
    for start in range(0, len(plain), 3):
        end = min(start + 12, len(plain))
        found = Alignment(sent, plain).span(Span(start=start, end=end, text=plain[start:end]))
        assert sent[found.start : found.end] == found.text
        assert found.text


@pytest.mark.parametrize("prompt", ["a tree " + ".…" * 3990, "a ½ " * 2000, "%1" + "…" * 7998, "b l o o d 1 " * 660])
def test_the_longest_prompts_are_read_and_aligned_without_taking_hours(prompt: str) -> None:
    plain = variants(prompt)[-1]
    last = plain.split()[-1]
    start = plain.rindex(last)
    span = Alignment(prompt, plain).span(Span(start=start, end=start + len(last), text=last))
    assert prompt[span.start : span.end] == span.text
