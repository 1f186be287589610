"""Obfuscated text is read as what it says, and plain text of any script is left alone."""

from __future__ import annotations

import codecs
import unicodedata

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
OTHER_LANGUAGES = (
    "ผู้หญิงถือแก้วไวน์ริมทะเล ใช้ iPhone๑๐",
    "امرأة تحمل كأسا قرب البحر في الـUSA",
    "लाल किले के सामने एक आदमी",
    "शरद\u200dऋतु क्\u200dष र\u200dय",
    "می\u200cخواهم خانه\u200cای کنار دریا ببینم",
    "אישה עם וiPhone על חוף הים",
    "👩\u200d👩\u200d👧 👍🏽 🏳\ufe0f\u200d🌈 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 🅿\ufe0f © ➡",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 🇩🇪🇫🇷",
    "красная площадь ночью, сор и хор, PDFка и SMSка",
    "дівчина біля моря, її кіт",
    "қазақ ғылымы, үй һәм ҳаво",
    "η θάλασσα το βράδυ, χορός και οίνος, 5 μm και 3 kΩ",
    "Հայաստան, գինու բաժակ, օձ և հաց",
    "ქალი ღვინის ჭიქით",
    "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ",
    "ᐃᓄᒃᑎᑐᑦ",
    "赤い花と猫、USBケーブル、二〇二四年",
    "TV를 보는 여자",
    "Straße in Köln, Café à Paris, Ñandú, Þór, fjörður, œuvre",
    "Türkiye'de kız ve ışık, İstanbul, %50 indirim, %20'si",
    "başörtülü kadın, başını öne eğen kadın, çift kıvrık döngü",
    "başörtülü kadın",
    "çift kıvrık döngü",
    "Ewe ɣe ƒo, ɖeka, ŋkɔ; Hausa ƙasa ɓera; Akan ɔkɔtɔ ɛyɛ",
    "Đà Nẵng, người phụ nữ cầm ly rượu",
    "ƿulf, ǀXam, ŋɔ, ʻokina, Oʻahu",
    "[ˈwʊmən wɪθ ə ɡlɑːs]",
)


@pytest.mark.parametrize(
    ("obfuscated", "plain"),
    [
        ("bl00d on the wall", "blood on the wall"),
        ("b l o o d everywhere", "blood everywhere"),
        ("к р о в ь", "кровь"),
        ("b\u0336l\u0336o\u0336o\u0336d\u0336", "blood"),
        ("blооd", "blood"),
        ("ᴋ ɪ ʟ ʟ the man", "kill the man"),
        ("a к n і f е on a table", "a knife on a table"),
        ("🅱 🅻 🅾 🅾 🅳", "BLOOD"),
        ("bӏ00d", "blood"),
        ("%62%6c00%64", "blood"),
    ],
)
def test_layers_of_obfuscation_are_undone_together(obfuscated: str, plain: str) -> None:
    assert normalise(obfuscated) == plain


def test_variants_give_the_raw_text_first_and_the_normalised_text_only_if_it_differs() -> None:
    assert variants("bl00d") == ["bl00d", "blood"]
    assert variants("a cat") == ["a cat"]
    assert variants("ɡun 🍷") == ["ɡun 🍷", "gun wine glass"]


def test_a_text_hides_its_meaning_if_most_words_are_missing_from_the_raw_text() -> None:
    assert hides("n4k3d m4n", "naked man")
    assert hides(codecs.encode("a wounded soldier", "rot13"), "a wounded soldier")
    assert not hides("a n4ked man on a beach", "a naked man on a beach")
    assert not hides("a man with a 🍷", "a man with a wine glass")


@pytest.mark.parametrize("text", OTHER_LANGUAGES)
def test_plain_text_and_emoji_change_by_nfkc_alone(text: str) -> None:
    assert normalise(text) == unicodedata.normalize("NFKC", text)


@given(st.lists(st.sampled_from(OTHER_LANGUAGES), min_size=1, max_size=4).map(" ".join))
def test_mixtures_of_languages_change_by_nfkc_alone(text: str) -> None:
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
    assert variants(text)[0] == text


@given(st.text("abeolsдοа01345@$!%=.- \u200d\u0336QUFB25ɡᴋкχ🅰🅻🇩🇪⒜\ufe0f"))
def test_normalising_obfuscated_text_twice_changes_nothing_more(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
