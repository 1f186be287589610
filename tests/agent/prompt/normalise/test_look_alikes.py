"""Words of mixed scripts become words of one script; words of one script are never transliterated."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.prompt.normalise.look_alikes import BACK, EXACT, PHONETIC, SMALL, fold_look_alikes

ALPHABETS = {
    "Armenian": "աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ",
    "Cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюяіїєґјѕһү",
    "Georgian": "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
    "Greek": "αβγδεζηθικλμνξοπρστυφχψως",
    "Hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "Thai": "กขคงจฉชซญดตถทนบปผฝพฟมยรลวศษสหอฮ",
    "Cherokee": "ᎠᎡᎢᎣᎤᎥᎦᎧᎨᎩᎪᎫᎬᎭᎮ",
    "Latin": "abcdefghijklmnopqrstuvwxyzßçéñøłıɓɔɖəɛɣƒƙŋʋ",
}


@pytest.mark.parametrize(
    ("mixed", "plain"),
    [
        ("blооd", "blood"),  # Cyrillic
        ("а mаn with а gun", "a man with a gun"),
        ("кnife", "knife"),
        ("нouse with вlood", "house with blood"),
        ("νοde οn α table", "vode on a table"),  # Greek
        ("seχ", "sex"),
        ("drunκ", "drunk"),
        ("gսո", "gun"),  # Armenian
        ("blօօd օf հis", "blood of his"),
        ("ռude wօman", "nude woman"),
        ("wᎪnd", "wand"),  # Cherokee
        ("Ꭰog", "Dog"),
        ("kꓠꓲfe", "knife"),  # Lisu
        ("un verre de vіn", "un verre de vin"),
        ("sаngrе en la pared", "sangre en la pared"),
        ("画blооd", "画blood"),
        ("she will мaкe it", "she will make it"),
    ],
)
def test_a_mixed_word_of_look_alikes_becomes_latin(mixed: str, plain: str) -> None:
    assert fold_look_alikes(mixed) == plain


@pytest.mark.parametrize(
    ("mixed", "plain"),
    [
        ("крoвь", "кровь"),
        ("Kрaсивая жeнщина", "Красивая женщина"),
        ("чорний кiт", "чорний кіт"),
        ("моя хaтa", "моя хата"),
        ("Ελλάδa", "Ελλάδα"),
        ("Հայաuտան", "Հայաստան"),
    ],
)
def test_a_mixed_word_with_a_letter_that_is_not_latin_goes_to_that_script(mixed: str, plain: str) -> None:
    assert fold_look_alikes(mixed) == plain


@pytest.mark.parametrize(
    ("phonetic", "plain"),
    [
        ("ᴡɪɴᴇ", "wine"),
        ("ᴀ ᴋɴɪғᴇ ᴏɴ ᴀ ᴛᴀʙʟᴇ", "a knife on a table"),
        ("ᴜɴᴇ ғᴇᴍᴍᴇ ɴᴜᴇ", "une femme nue"),
        ("ᴜɴᴀ ᴍᴜᴊᴇʀ ᴄᴏɴ ᴠɪɴᴏ", "una mujer con vino"),
        ("ɡun", "gun"),
        ("ein ɡlɑs", "ein glas"),
        ("ʀed ᴡіne", "red wine"),
    ],
)
def test_small_capitals_and_phonetic_letters_become_plain_letters(phonetic: str, plain: str) -> None:
    assert fold_look_alikes(phonetic) == plain


@pytest.mark.parametrize(
    "text",
    ["PDFка и SMSка", "וiPhone", "الـiPhone", "iPhone๑๐", "5 μm, 3 kΩ", "[ˈwʊmən]", "kız ve ışık", "ɣe ƒo", "ƿulf"],
)
def test_words_that_mix_scripts_in_plain_text_stay(text: str) -> None:
    assert fold_look_alikes(text) == text


@given(st.sampled_from(sorted(ALPHABETS)).flatmap(lambda name: st.text(ALPHABETS[name] + " ", max_size=60)))
def test_text_in_one_alphabet_is_never_changed(text: str) -> None:
    for cased in (text, unicodedata.normalize("NFKC", text.title())):
        assert fold_look_alikes(cased) == cased


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=2), st.data())
def test_a_latin_word_with_a_look_alike_for_any_letter_is_read(word: str, data: st.DataObject) -> None:
    disguises = {letter: [chr(code) for code, target in EXACT.items() if target == letter] for letter in word}
    places = [i for i, letter in enumerate(word) if disguises[letter]]
    assume(places)
    place = data.draw(st.sampled_from(places))
    disguise = data.draw(st.sampled_from(disguises[word[place]]))
    assert fold_look_alikes(word[:place] + disguise + word[place + 1 :]) == word


def test_the_data_has_letters_of_every_kind_that_the_folding_reads() -> None:
    assert len(EXACT) > 250
    assert len(PHONETIC) > 40
    assert len(SMALL) > 25
    assert set(BACK) == {"ARMENIAN", "CYRILLIC", "GREEK"}
    assert all(target.isascii() and target.isalpha() for table in (EXACT, PHONETIC, SMALL) for target in table.values())
