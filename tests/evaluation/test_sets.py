"""Sets are read strictly, and a seed always samples the same rows."""

import json
from pathlib import Path

import pytest

from evaluation.sets import DataError, Row, read_sets, sample


def rows(*labels: str) -> list[Row]:
    return [Row(id=number, text=f"row {number}", label=label, lang="en") for number, label in enumerate(labels)]


def test_rows_are_read_by_set_and_other_keys_are_ignored(tmp_path: Path):
    line = {"id": "a", "text": "a tree", "label": "safe", "source": "x", "votes": {"safe": 3}}
    (tmp_path / "mine.jsonl").write_text("\ufeff" + json.dumps(line) + "\r\n\r\n", encoding="utf-8")
    assert read_sets(tmp_path, []) == {"mine": [Row(id="a", text="a tree", label="safe", lang="und")]}


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("{", "Invalid JSON"),
        ('{"id": 2, "text": "a"}', "label: Field required"),
        ('{"id": 2, "text": "\\ud800", "label": "safe"}', "Invalid JSON"),
        ('{"id": 1, "text": "a", "label": "safe"}', "occurs twice"),
    ],
)
def test_an_invalid_line_raises_an_error_with_file_and_line(tmp_path: Path, second: str, reason: str):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": 1, "text": "a", "label": "safe"}\n' + second)
    with pytest.raises(DataError, match=f"mine.jsonl:2: .*{reason}"):
        read_sets(tmp_path, ["mine"])


def test_a_file_in_another_encoding_is_refused_with_its_line_and_how_to_fix_it(tmp_path: Path):
    path = tmp_path / "mine.jsonl"
    path.write_bytes('\r\n{"id": 1, "text": "Käse", "label": "safe"}'.encode("cp1252"))
    with pytest.raises(DataError, match=r"mine\.jsonl:2: the byte 0xE4 is not UTF-8.*; save it as UTF-8"):
        read_sets(tmp_path, [])
    path.write_text('{"id": 1, "text": "a", "label": "safe"}', encoding="utf-16")
    with pytest.raises(DataError, match=r"mine\.jsonl:1: the file is UTF-16; save it as UTF-8"):
        read_sets(tmp_path, [])


def test_a_name_composed_of_parts_and_what_systems_hide_beside_sets_do_no_harm(tmp_path: Path):
    (tmp_path / "Ka\u0308se.jsonl").write_text('{"id": 1, "text": "a", "label": "safe"}', encoding="utf-8")
    (tmp_path / "._Ka\u0308se.jsonl").write_bytes(b"\x00\x05\x16\x07")
    assert list(read_sets(tmp_path, [])) == list(read_sets(tmp_path, ["K\u00e4se"])) == ["K\u00e4se"]


def test_a_missing_set_raises_an_error_that_names_the_existing_ones(tmp_path: Path):
    with pytest.raises(DataError, match=r"has no \*.jsonl"):
        read_sets(tmp_path, [])
    (tmp_path / "mine.jsonl").touch()
    with pytest.raises(DataError, match=r"has no other.jsonl; its sets are: mine"):
        read_sets(tmp_path, ["other"])


def test_a_sample_limits_each_label_and_does_not_depend_on_other_sets():
    sets = {"one": rows(*["safe"] * 30, *["unsafe"] * 3), "two": rows(*["safe"] * 30)}
    sampled = sample(sets, 5, seed=1)
    assert [row.label for row in sampled["one"]] == ["safe"] * 5 + ["unsafe"] * 3
    assert sample({"two": sets["two"]}, 5, seed=1)["two"] == sampled["two"]
    assert sample(sets, 5, seed=2) != sampled
