"""URL encoding, base64 and ROT13 are decoded if clear text comes out."""

from __future__ import annotations

import base64
import codecs
from urllib.parse import quote

import pytest

from agent.prompt.normalise import normalise
from agent.prompt.normalise.encodings import decode_url


@pytest.mark.parametrize(
    "secret",
    ["blood", "a wounded soldier with a knife", "кровь на стене", "壁に赤い血", "دم على الجدار", "피가 묻어있는 벽"],
)
def test_base64_and_url_encoding_are_decoded_even_if_nested(secret: str) -> None:
    encoded = base64.b64encode(secret.encode()).decode()
    assert normalise("draw " + encoded) == "draw " + secret
    assert normalise(quote(quote(secret))) == secret
    assert normalise(base64.b64encode(encoded.encode()).decode()) == secret


@pytest.mark.parametrize(
    "word",
    ["einelementigen", "enfatizassem", "envaidecendo", "desbravássemos", "photorealistic", "internationalization"],
)
def test_long_words_are_not_base64(word: str) -> None:
    assert normalise(word) == word


def test_rot13_is_decoded_if_announced_or_clearly_more_like_words() -> None:
    hidden = codecs.encode("a wounded soldier with blood on the sand", "rot13")
    assert normalise(hidden) == "a wounded soldier with blood on the sand"
    assert normalise("rot13: " + codecs.encode("blood", "rot13")) == "blood"
    assert normalise("an album cover for rot13 with the red letters") == "an album cover for rot13 with the red letters"


@pytest.mark.parametrize(
    "text", ["%50 indirim", "«%200 hoş geldin bonusu»", "%20'si", "%75,5 pamuk", "100% wool", "100 %", "%41.", "50%"]
)
def test_percentages_are_not_url_encoding(text: str) -> None:
    assert decode_url(text) == text


def test_url_encoding_of_digits_alone_is_decoded() -> None:
    assert decode_url("%42%4c%4f%4f%44 %62%6c") == "BLOOD bl"
