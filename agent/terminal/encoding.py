"""What commands print where the terminal, or the file that a shell redirects to, is not UTF-8."""

from __future__ import annotations

import codecs
import json
import sys
from typing import TextIO

_ESCAPED = "propriety.escaped"


def escape_what_cannot_be_printed() -> None:
    r"""From now on a character that the encoding of standard output or error lacks is printed as `\u062e`, as in JSON.

    Otherwise a command would end at the first such character, after its work.
    """
    codecs.register_error(_ESCAPED, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ESCAPED)


def is_utf8(file: TextIO) -> bool:
    """Whether JSON and YAML may be written to the file as they are. Elsewhere they are written in ASCII, with escapes,
    because both must be UTF-8 (RFC 8259, section 8.1) wherever they are read again."""
    return codecs.lookup(file.encoding or "utf-8").name == "utf-8"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
