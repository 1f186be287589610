"""Undo obfuscation: "bl00d", "b l o o d" and "Ymxvb2Q=" are judged as what they say, along with the raw text."""

from __future__ import annotations

import re
from collections.abc import Callable

from agent.prompt.normalise.characters import drop_invisible, nfkc, unbox
from agent.prompt.normalise.encodings import decode_base64, decode_rot13, decode_url
from agent.prompt.normalise.folding import fold
from agent.prompt.normalise.leet import fold_leet
from agent.prompt.normalise.look_alikes import fold_look_alikes
from agent.prompt.normalise.pictographs import name_pictographs
from agent.prompt.normalise.spelling import join_spaced

MAX_LAYERS = 64
"""Encodings nested deeper than this are left as they are."""

WORD = re.compile(r"\w+")

STEPS: tuple[Callable[[str], str], ...] = (
    unbox,
    nfkc,
    drop_invisible,
    fold_look_alikes,
    decode_url,
    decode_base64,
    decode_rot13,
    join_spaced,
    fold_leet,
)


def normalise(text: str) -> str:
    """The text with its obfuscation undone; plain text of any script comes back as its NFKC form.

    The steps run until nothing changes: letters in boxes, compatibility forms (NFKC), invisible characters, look-alike
    letters in words of mixed scripts (Unicode UTS 39), URL encoding, base64 and ROT13 that decode to clear text, letter
    spacing, and leetspeak. Joiners stay where emoji, Arabic or Indic scripts need them. Never raises; idempotent up to
    `MAX_LAYERS` nested encodings.
    """
    for _ in range(MAX_LAYERS):
        before = text
        for step in STEPS:
            text = step(text)
        if text == before:
            break
    return text


def variants(text: str) -> list[str]:
    """The readings to judge: the raw text, then the normalised and folded text with emoji by name if it differs."""
    plain = name_pictographs(fold(normalise(text)))
    return [text] if plain == text else [text, plain]


def hides(raw: str, plain: str) -> bool:
    """Whether most words of the normalised reading are missing from the raw text."""
    words, shown = WORD.findall(plain.lower()), set(WORD.findall(raw.lower()))
    return sum(word not in shown for word in words) * 2 > len(words)
