"""Obfuscated text is read as what it says, and plain text of any script is left alone."""

from __future__ import annotations

import base64
import codecs
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.prompt.normalise import hides, normalise, variants

ASCII_WORDS = (  # noqa: SIM905
    "a photo of the red dragon 1girl 2girls 4k 8k mp3 2b years 1920s 1990s 50mm 21st 3rd 5th 3am 4ft h264 "
    "ak47 r2d2 c3po 1of3 m1a1 ps5 web3 covid19 iphone15 1080p 4x4 7up f1.8 A4 portrait, photorealistic masterpiece, "
    "(best quality:1.2) wine-glass U.S.A. J.R.R. Tolkien's castle; 100% wool $5 @anna user@example.com "
    "black and white. x y z cross"
).split()
CAPTIONS = st.lists(st.sampled_from(ASCII_WORDS), min_size=1, max_size=12).map(" ".join)
OTHER_SCRIPTS = (
    "ผู้หญิงถือแก้วไวน์ริมทะเล",
    "امرأة تحمل كأسا قرب البحر",
    "लाल किले के सामने एक आदमी",
    "शरद\u200dऋतु क्\u200dष र\u200dय",
    "می\u200cخواهم خانه\u200cای کنار دریا ببینم",
    "👩\u200d👩\u200d👧 👍🏽 🏳\ufe0f\u200d🌈 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "красная площадь ночью",
    "η θάλασσα το βράδυ",
    "赤い花と猫",
    "Straße in Köln, Café à Paris",
)


@pytest.mark.parametrize(
    ("obfuscated", "plain"),
    [
        ("bl00d on the wall", "blood on the wall"),
        ("BL00D", "BLOOD"),
        ("b1ood", "blood"),
        ("n4ked man", "naked man"),
        ("k1ll and k!ll", "kill and kill"),
        ("nud3 statue", "nude statue"),
        ("5ex and $ex", "sex and sex"),
        ("b l o o d everywhere", "blood everywhere"),
        ("b.l.o.o.d", "blood"),
        ("b l 0 0 d", "blood"),
        ("v a p o r w a v e", "vaporwave"),
        ("к р о в ь", "кровь"),
        ("bl\u200bo\u00ado\u2060d", "blood"),
        ("b\u0336l\u0336o\u0336o\u0336d\u0336", "blood"),
        ("ｂｌｏｏｄ", "blood"),
        ("blооd", "blood"),
        ("крoвь", "кровь"),
        ("Wh47 15 73rr0r15m 4nd wh3r3?", "What is terrorism and where?"),
        ("A h0r53 0n 7h3 b34ch 47 n1gh7", "A horse on the beach at night"),
        ("a   w i n e   g l a s s   o n   a   t a b l e", "a wine glass on a table"),
    ],
)
def test_obfuscation_is_undone(obfuscated: str, plain: str) -> None:
    assert normalise(obfuscated) == plain


@pytest.mark.parametrize("secret", ["blood", "a wounded soldier with a knife", "кровь на стене"])
def test_base64_and_url_encoding_are_decoded_also_when_nested(secret: str) -> None:
    encoded = base64.b64encode(secret.encode()).decode()
    assert normalise("draw " + encoded) == "draw " + secret
    assert normalise(quote(quote(secret))) == secret
    assert normalise(base64.b64encode(encoded.encode()).decode()) == secret


def test_rot13_is_decoded_when_announced_or_when_clearly_more_like_words() -> None:
    hidden = codecs.encode("a wounded soldier with blood on the sand", "rot13")
    assert normalise(hidden) == "a wounded soldier with blood on the sand"
    assert normalise("rot13: " + codecs.encode("blood", "rot13")) == "blood"
    assert normalise("an album cover for rot13 with the red letters") == "an album cover for rot13 with the red letters"


def test_variants_give_the_raw_text_first_and_the_normalised_text_only_where_it_differs() -> None:
    assert variants("bl00d") == ["bl00d", "blood"]
    assert variants("a cat") == ["a cat"]


def test_a_text_hides_what_it_says_where_most_words_cannot_be_read_in_it() -> None:
    assert hides("n4k3d m4n", "naked man")
    assert hides(codecs.encode("a wounded soldier", "rot13"), "a wounded soldier")
    assert not hides("a n4ked man on a beach", "a naked man on a beach")
    assert not hides("a man with a 🍷", "a man with a wine glass")


@pytest.mark.parametrize("text", OTHER_SCRIPTS)
def test_whole_script_text_and_emoji_change_by_nfkc_alone(text: str) -> None:
    assert normalise(text) == unicodedata.normalize("NFKC", text)


@given(st.lists(st.sampled_from(OTHER_SCRIPTS), min_size=1, max_size=4).map(" ".join))
def test_mixtures_of_scripts_change_by_nfkc_alone(text: str) -> None:
    assert normalise(text) == unicodedata.normalize("NFKC", text)


@pytest.mark.parametrize("word", ASCII_WORDS)
def test_words_of_plain_captions_are_unchanged(word: str) -> None:
    assert normalise(word) == word


@given(CAPTIONS)
def test_plain_ascii_captions_are_unchanged(caption: str) -> None:
    assert normalise(caption) == caption


@given(st.text(st.characters(exclude_categories=[])))
def test_any_unicode_is_normalised_without_raising_and_idempotently(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text("abeolsдοа01345@$!%=.- \u200d\u0336QUFB25"))
def test_normalising_twice_changes_nothing_more_in_obfuscated_text(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a woman with 🍷", "a woman with wine glass"),
        ("👩🏽‍🌾 in a field ✨", "woman ear of rice in a field sparkles"),
        ("كأس 🍷", "كأس wine glass"),
        ("🇩🇪 flag", "🇩🇪 flag"),
    ],
)
def test_emoji_are_read_by_their_names_too(text, expected):
    assert variants(text)[-1] == expected
    assert variants(text)[0] == text
