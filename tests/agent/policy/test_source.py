"""YAML sources are plain data, and every error names its line."""

import json
from pathlib import Path

import pytest

from agent.policy.files import load_policies
from agent.policy.source import PolicyError, policy_files, read_yaml


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def test_words_and_dates_are_text_as_in_yaml_1_2(path: Path) -> None:
    path.write_text("no: on\nversion: 2026-01-02\nwxi: 1e-1\nsteps: 010\n~: true\n", encoding="utf-8")
    assert read_yaml(path).data == {"no": "on", "version": "2026-01-02", "wxi": 0.1, "steps": 10.0, None: True}


def test_a_merge_overrides_key_by_key(path: Path) -> None:
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n", encoding="utf-8")
    assert read_yaml(path).data["b"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (
            "a: 1\nb: [\nc: 2\n",
            4,
            "did not find expected ',' or ']' while parsing a flow sequence that begins on line 2",
        ),
        ("a: 1\nb: {c: 1,\n  c: 2}\n", 3, "duplicate key 'c'"),
        ("ü: 1\nb: a\x00b\n", 2, "the character U.0000"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: 1\nb: !mkdir [x]\n", 2, "'!mkdir'"),
        ("? [a]\n: 1\n", 1, "unhashable key"),
        ("a: " + "[" * 5000 + "]" * 5000, 1, "nesting depth"),
        ("a: " + "{b: " * 5000 + "1" + "}" * 5000, 1, "nesting depth"),
        ("\n".join(" " * depth + "a:" for depth in range(5000)), 1000, "nesting depth"),
    ],
)
def test_invalid_yaml_is_refused_with_its_line(path: Path, text: str, line: int, expected: str) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError, match=expected) as refusal:
        read_yaml(path)
    assert refusal.value.line == line


@pytest.mark.parametrize(
    "value",
    ["!!int x", '!!int ""', '!!float ""', "!!bool x", "!!timestamp x", "!!timestamp 2026-13-45", "!!map x", "9" * 5000],
)
def test_a_value_that_does_not_fit_its_tag_is_refused_with_its_line(path: Path, value: str) -> None:
    path.write_text(f"a: 1\nb: {value}\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"does not read as|expected a mapping") as refusal:
        read_yaml(path)
    assert refusal.value.line == 2


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("\tb: 1", "indent with spaces"),
        ("b: @a", "put text that begins with @ in quotes"),
        ("b: %a", "put text that begins with % in quotes"),
        ("b: *a", r"put text that begins with \* in quotes"),
        ("b: a: c", "put text that holds a colon in quotes"),
        ("b: - c", "put text that begins with - in quotes"),
        ('b: "\\q"', "use single quotes"),
        ('b: "C:\\Users"', "use single quotes"),
        ("b: !a c", "remove the tag"),
        ("---\nb: 1", "a file holds one policy"),
        ("b:\u00a0c\nd: 1", "line 2 has the character “no-break space”, which is no space"),
        ("b:\n  c: 1\n \u00a0d: 2", "line 4 has the character “no-break space”"),
        ("b:\u200bc\nd: 1", "line 2 has the character “zero width space”"),
        ("b:\n  – c: 1\n  d", "line 3 has the character “en dash”, which is no hyphen"),
        ("b: c\x1a", r"U\+001A, which cannot be seen, is not allowed; delete it"),
    ],
)
def test_invalid_yaml_is_refused_with_how_to_fix_it(path: Path, line: str, fix: str) -> None:
    path.write_text(f"a: 1\n{line}\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=fix):
        read_yaml(path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_a_mark_change_nothing(path: Path, end: str, mark: str) -> None:
    path.write_bytes(f"{mark}a: |{end}  x{end}  y{end}b: 1{end}".encode())
    assert read_yaml(path).data == {"a": "x\ny\n", "b": 1}


def test_letters_composed_of_parts_are_the_same_text(path: Path) -> None:
    path.write_text("a: Ka\u0308se\n", encoding="utf-8")
    assert read_yaml(path).data == {"a": "K\u00e4se"}


@pytest.mark.parametrize(("encoding", "text"), [("cp1252", "ä"), ("cp1256", "نبيذ")])
def test_an_older_encoding_is_refused_with_its_line(path: Path, encoding: str, text: str) -> None:
    path.write_bytes(b"a: 1\nb: " + text.encode(encoding))
    with pytest.raises(PolicyError, match=r"policy\.yaml:2: expected UTF-8: .*; save it as UTF-8"):
        read_yaml(path)


@pytest.mark.parametrize("name", ["~$a.yaml", ".a.yaml", "._a.yaml", ".#a.yaml", "a.yaml~", "a.yaml.bak", "Thumbs.db"])
def test_files_that_editors_and_systems_leave_are_not_policies(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\n", encoding="utf-8")
    (tmp_path / name).write_bytes(b"\x00\x01")
    assert policy_files(tmp_path) == [tmp_path / "a.yaml"]


@pytest.mark.parametrize("name", ["ar-SA.yml", "ar-SA.YAML", "ar-SA.Yml", "ar-SA.yaml.txt"])
def test_a_name_that_would_be_left_out_unnoticed_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a: 1\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"rename the file to 'ar-SA\.yaml'"):
        policy_files(tmp_path)


def test_a_file_that_cannot_be_read_is_refused(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")
    for unreadable, reason in (
        (path, "expected UTF-8: "),
        (path.with_name("missing.yaml"), "expected a readable file"),
    ):
        with pytest.raises(PolicyError, match=reason):
            read_yaml(unreadable)
    path.write_bytes("locale: de-DE\n".encode("utf-16"))
    with pytest.raises(PolicyError, match="the file is UTF-16; save it as UTF-8"):
        read_yaml(path)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir", "!mkdir"])
def test_nothing_that_a_file_names_is_run(tmp_path: Path, base: str, tag: str) -> None:
    made = tmp_path / "made"
    title = f"title: {tag} [{json.dumps(str(made))}]"
    (tmp_path / "base.yaml").write_text(base.replace("title: Everywhere", title), encoding="utf-8")
    with pytest.raises(PolicyError, match="mkdir") as refusal:
        load_policies(tmp_path)
    assert refusal.value.line == 3
    assert not made.exists()
