"""Text files as editors on any system save them."""

from __future__ import annotations

import codecs

MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def wrong_encoding(start: bytes) -> str | None:
    """What is wrong with a file that begins with these bytes, and how to fix it; None if it may be UTF-8."""
    name = next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
    if name is None and len(start) >= 2 and 0 in start[:2]:
        name = "UTF-16"  # without a mark; no text in UTF-8 has a NUL at its start
    if name is None:
        return None
    return f"the file is {name}; save it as UTF-8 (Excel: “CSV UTF-8”; Notepad: “Save as”, encoding UTF-8)"
