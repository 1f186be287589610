"""No terminal's encoding ends a command."""

import io
import json
import sys

import pytest

from agent.terminal.encoding import escape_what_cannot_be_printed, is_utf8


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp1256", "utf-8"])
def test_what_an_encoding_lacks_is_escaped_as_in_json(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    text = "نبيذ Käse 🍷 \udce1 τ_gc ╭"
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    escape_what_cannot_be_printed()
    print(f'"{text}"', flush=True)
    assert json.loads(stream.buffer.getvalue().decode(encoding)) == text


def test_only_utf_8_needs_no_escapes() -> None:
    assert is_utf8(io.TextIOWrapper(io.BytesIO(), encoding="UTF8"))
    assert not is_utf8(io.TextIOWrapper(io.BytesIO(), encoding="cp1256"))
