"""Text files as editors on any system save them."""

from __future__ import annotations

import codecs
from pathlib import Path

MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
SAVE_AS_UTF8 = "save it as UTF-8 (Excel: “CSV UTF-8”; Notepad: “Save as”, encoding UTF-8)"


class EncodingError(ValueError):
    """A file is not UTF-8; with the `line` (from 1) and how to fix it."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


def read_utf8(path: Path) -> str:
    r"""The text of a file in UTF-8, with or without a byte order mark. Its line ends become `\n`.

    Raises:
        EncodingError: the file is in another encoding.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    if problem := wrong_encoding(content[:4]):
        raise EncodingError(1, problem)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line = before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n") + 1
        problem = f"the byte 0x{error.object[error.start]:02X} is not UTF-8, as in the older encodings of Windows"
        raise EncodingError(line, f"{problem}; {SAVE_AS_UTF8}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def wrong_encoding(start: bytes) -> str | None:
    """What is wrong with a file that begins with these bytes, and how to fix it; None if it may be UTF-8."""
    name = next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
    if name is None and len(start) >= 2 and 0 in start[:2]:
        name = "UTF-16"  # without a mark; no text in UTF-8 has a NUL at its start
    return name and f"the file is {name}; {SAVE_AS_UTF8}"
