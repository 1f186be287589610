"""Every word of a prompt is in a window, whatever the prompt's length."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.retrieval.windows import MAX_PASSAGE_WORDS, MAX_WINDOW_WORDS, passages_of
from propriety.verdict import Span

TEXTS = [
    "a red kite over the dunes and a dog that runs after it with its tongue out " * 40,
    "A red kite flies over the dunes. A dog runs after it! " * 30,
    "kite, dunes, dog, film grain, 50 mm, soft light, wide angle, morning, " * 30,
    "Ein Drachen steht über den Dünen. Ein Hund läuft ihm nach. " * 30,
    "Красный змей летит над дюнами. За ним бежит собака. " * 30,
    "طائرة ورقية حمراء فوق الكثبان. كلب يركض وراءها؟ " * 30,
    "टीले के ऊपर लाल पतंग उड़ रही है। एक कुत्ता पीछे दौड़ता है। " * 30,
    "赤い凧が砂丘の上を飛んでいます。犬がそれを追いかけます。" * 30,
    "紅色的風箏在沙丘上飛，一隻狗在後面追" * 40,
    "ว่าวสีแดงลอยอยู่เหนือเนินทราย สุนัขวิ่งตาม " * 30,
    "모래 언덕 위로 빨간 연이 난다. 개가 뒤쫓는다. " * 30,
    "kite\ndune\ndog\n" * 30,
]


def windows(prompt: str) -> list[Span]:
    return [window for passage in passages_of(prompt) for window in passage.windows]


@pytest.mark.parametrize("prompt", TEXTS)
def test_every_word_of_a_long_prompt_is_in_a_short_window_and_in_a_sketch(prompt: str) -> None:
    passages = passages_of(prompt)
    assert len(passages) > 1
    for spans in (
        [window for passage in passages for window in passage.windows[1:] or passage.windows],
        [window for passage in passages for window in passage.sketch],
    ):
        read = {i for span in spans for i in range(span.start, span.end)}
        assert not [i for i, char in enumerate(prompt) if i not in read and unicodedata.category(char)[0] not in "CPZ"]


@pytest.mark.parametrize("prompt", TEXTS)
def test_no_passage_is_longer_than_a_caption(prompt: str) -> None:
    assert max(len(passage.windows) for passage in passages_of(prompt)) <= MAX_WINDOW_WORDS * MAX_PASSAGE_WORDS


@given(st.text("ab .!?\n。字", max_size=400))
def test_every_window_is_a_slice_of_the_prompt(prompt: str) -> None:
    assert all(prompt[window.start : window.end] == window.text for window in windows(prompt))


@given(st.text("ab .!?\n。字", max_size=400))
def test_no_letter_is_in_no_window(prompt: str) -> None:
    read = {i for window in windows(prompt) for i in range(window.start, window.end)}
    assert all(i in read or char.isspace() for i, char in enumerate(prompt))


def test_a_short_prompt_is_one_passage_and_its_whole_comes_first() -> None:
    (passage,) = passages_of("A dog runs. A red kite flies over the dunes.")
    assert passage.windows[0].text == "A dog runs. A red kite flies over the dunes."
    assert "kite flies over the dunes" in [window.text for window in passage.windows]


def test_stretches_of_five_words_in_a_sentence_without_end_are_all_windows() -> None:
    words = [f"w{i}" for i in range(90)]
    texts = {window.text for window in windows(" ".join(words))}
    assert all(" ".join(words[i : i + MAX_WINDOW_WORDS]) in texts for i in range(len(words) - MAX_WINDOW_WORDS + 1))


@pytest.mark.parametrize("place", [0, 7, 15])
def test_a_sentence_is_read_alike_wherever_it_stands(place: int) -> None:
    others = ["A red kite flies over the dunes."] * 15
    prompt = " ".join([*others[:place], "Somebody has left a blue bicycle there.", *others[place:]])
    found = [passage for passage in passages_of(prompt) if "bicycle" in passage.windows[0].text]
    alone = passages_of("Somebody has left a blue bicycle there.")
    assert [[window.text for window in passage.windows] for passage in found] == [
        [window.text for window in passage.windows] for passage in alone
    ]


@pytest.mark.parametrize(
    ("prompt", "stretches"),
    [
        ('a man drinking "wine"', ['drinking "wine"', "a man drinking"]),
        ("“red wine”, sunset, beach", ["red wine", "sunset, beach"]),
        ("ein Mann trinkt „Wein“!", ["trinkt „Wein“"]),
        ("un hombre («vino» en mano)", ["«vino» en", "hombre («vino»"]),
        ("رجل يشرب الخمر؟", ["يشرب الخمر"]),
        ("a #wine & cheese (party)", ["#wine & cheese", "cheese (party)"]),
        ("- - wine - -", ["- wine"]),
    ],
)
def test_the_marks_around_words_are_no_part_of_a_stretch_unless_it_holds_their_other_half(
    prompt: str, stretches: list[str]
) -> None:
    texts = [window.text for window in windows(prompt)]
    assert [stretch for stretch in stretches if stretch not in texts] == []


def test_a_sentence_of_two_words_is_read_with_the_next() -> None:
    prompt = "He aims. The other man raises both of his hands. " * 5
    assert passages_of(prompt)[0].windows[0].text == "He aims. The other man raises both of his hands."


def test_a_decimal_point_and_an_address_end_no_sentence() -> None:
    prompt = "A sign of 3.5 metres says www.example.com in red letters. " * 5
    assert len(passages_of(prompt)) == 5
