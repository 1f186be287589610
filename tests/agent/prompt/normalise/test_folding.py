"""Capitals, accents, vowel signs and stretched letters change no word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.prompt.normalise import variants
from agent.prompt.normalise.folding import fold, lower, spelling, without_accents


@pytest.mark.parametrize(
    ("shouted", "plain"),
    [
        ("A RED KITE OVER THE DUNES", "a red kite over the dunes"),
        ("EIN DRACHEN ÜBER DEN DÜNEN", "ein drachen über den dünen"),
        ("UN CERF-VOLANT ÉLEVÉ À NOËL", "un cerf-volant élevé à noël"),
        ("UNA COMETA Y UN NIÑO", "una cometa y un niño"),
        ("UM PIÃO NO CHÃO", "um pião no chão"),
        ("ŻÓŁTY LATAWIEC NAD WYDMĄ", "żółty latawiec nad wydmą"),
        ("C'È UN AQUILONE LASSÙ", "c'è un aquilone lassù"),
        ("LAYANG-LAYANG MERAH", "layang-layang merah"),
        ("КРАСНЫЙ ЗМЕЙ", "красный змей"),
        ("KIRMIZI BİR UÇURTMA", "kırmızı bir uçurtma"),
        ("AĞACIN ALTINDA İKİ KEDİ", "ağacın altında iki kedi"),
        ("aLtErNaTiNg LeTtErS", "alternating letters"),
        ("a man holds a KITE up", "a man holds a kite up"),
    ],
)
def test_capitals_become_small_letters(shouted: str, plain: str) -> None:
    assert fold(shouted) == plain
    assert variants(shouted) == [shouted, plain]


def test_turkish_capitals_without_a_dotted_i_lose_their_accents_too() -> None:
    assert lower("KIRMIZI BIR AĞAÇ") == "kirmizi bir agac"


@pytest.mark.parametrize(
    "text",
    [
        "Ein roter Drachen über den Dünen von Sylt",
        "Anna and Otto in New York, 4K HDR",
        "a poster of the EU and the UN",
        "ألف قطة نائمة على كرسي",
        "ילד אוכל תפוח",
        "ดอกไม้ที่สวยงาม",
        "सुंदर फूलों का बाग़",
        "かわいい猫がいる",
        "예쁜 꽃밭",
        "żółty rower pod drzewem",
    ],
)
def test_ordinary_spelling_stays(text: str) -> None:
    assert fold(text) == text
    assert variants(text) == [text]


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("قِطَّةٌ نَائِمَةٌ عَلَى كُرْسِيٍّ", "قطة نائمة على كرسي"),
        ("كُوبُ شَايٍ", "كوب شاي"),
        ("قطـــة نائمـــة", "قطة نائمة"),
        ("ٱلرَّحْمَٰن", "ٱلرحمن"),
        ("شـجـرة", "شجرة"),
        ("بَيْتٌ أَبْيَضُ", "بيت أبيض"),
        ("يֶלֶד אוֹכֵל תַּפּוּחַ".replace("ي", "י"), "ילד אוכל תפוח"),
        ("שׁוּלְחָן לָבָן", "שולחן לבן"),
        ("בְּרֵאשִׁ֖ית", "בראשית"),
        ("כֶּלֶב", "כלב"),
    ],
)
def test_arabic_and_hebrew_lose_vowel_signs_and_stretching(marked: str, plain: str) -> None:
    assert variants(marked)[-1] == plain


def test_the_hebrew_hyphen_stays() -> None:
    assert fold("בֵּית־סֵפֶר") == "בית־ספר"


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("żółty", "zolty"), ("kırmızı ağaç", "kirmizi agac"), ("niño", "nino"), ("pião", "piao"), 
        ("à la crème", "a la creme"),
        ("Straße", "Strasse"), ("città", "citta"), ("œuf", "oeuf"), ("søt", "sot"), ("được", "duoc"),
        ("змей", "змей"), ("が", "が"), ("예쁜", "예쁜"), ("हिन्दी", "हिन्दी"), ("أبيض", "أبيض"),
    ],
)  # fmt: skip
def test_only_latin_letters_lose_their_accents(text: str, bare: str) -> None:
    assert without_accents(text) == bare


@given(st.text(max_size=40))
def test_folding_again_changes_nothing(text: str) -> None:
    assert without_accents(without_accents(text)) == without_accents(text)
    assert spelling(spelling(text)) == spelling(text)
