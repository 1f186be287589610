"""A file that grows line by line can be cut anywhere and is whole again."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.terminal.journal import JournalError, append, earlier, written
from propriety.verdict import Strict


class Line(Strict):
    id: int
    text: str


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.data())
def test_a_file_cut_at_any_byte_is_read_up_to_its_last_whole_line(texts, data):
    lines = [Line(id=number, text=text) for number, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.jsonl"
        with path.open("ab") as file:
            for line in lines:
                append(file, line)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        kept = list(written(path, Line))
        assert kept == lines[: whole[:cut].count(b"\n")]
        with path.open("ab") as file:
            for line in lines[len(kept) :]:
                append(file, line)
        assert path.read_bytes() == whole


def test_lines_with_another_value_in_by_are_refused(tmp_path):
    class Made(Strict):
        text: str
        by: str

    path = tmp_path / "made.jsonl"
    assert earlier(path, Made, "one") == []
    with path.open("ab") as file:
        append(file, Made(text="a", by="one"))
    assert earlier(path, Made, "one") == [Made(text="a", by="one")]
    with pytest.raises(JournalError, match="“one”, not by “two”"):
        earlier(path, Made, "two")
