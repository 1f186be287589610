"""How to fix a YAML error: the parser says what it found, and not what to do."""

from __future__ import annotations

import re
import unicodedata

_FIXES = {  # a part of what the parser says, and how to fix it
    "tab character": "indent with spaces",
    "mapping values are not allowed": "put text that holds a colon in quotes, or correct the indentation",
    "could not find expected ':'": "put text of several lines in quotes, or correct the indentation",
    "undefined alias": "put text that begins with * in quotes",
    "scanning an alias": "put text that begins with * in quotes",
    "scanning an anchor": "put text that begins with & in quotes",
    "unknown escape": r"write \\ for a backslash, or use single quotes",
    "hexdecimal": r"write \\ for a backslash, or use single quotes",  # so spelt by libyaml
    "constructor for the tag": "remove the tag, or put text that begins with ! in quotes",
    "another document": "a file holds one policy; remove the line --- and what follows it",
    "block sequence entries": "put text that begins with - in quotes, or begin the list on the next line",
    "scanning a directive": "put text that begins with % in quotes",
}
# Word and browsers put these where a space or a hyphen is meant: in an indentation, or after a colon, hyphen or comma.
_ODD = re.compile("(?:^ *|[:,-])([\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000\ufeff])|^ *([\u2010-\u2015\u2022\u2212])")


def fix_for(problem: str, text: str, first: int, last: int, column: int) -> str:
    """How to fix what the parser says of a text, to go after it; empty if that is not known.

    Args:
        problem: what the parser says.
        text: the whole file.
        first, last: the lines that are concerned, from 0.
        column: where the parser stopped in the last of them, from 0.
    """
    lines = text.split("\n")[: last + 1]
    for number, line in enumerate(lines[max(first - 1, 0) :], max(first, 1)):
        if odd := _ODD.search(line):
            name, meant = unicodedata.name(odd[1] or odd[2]).lower(), "space" if odd[1] else "hyphen"
            return f"; line {number} has the character “{name}”, which is no {meant}: type a {meant} instead"
    if "cannot start any token" in problem:
        found = lines[-1][column : column + 1]
        return "; indent with spaces, not tabs" if found == "\t" else f"; put text that begins with {found} in quotes"
    return next((f"; {fix}" for part, fix in _FIXES.items() if part in problem), "")
