"""YAML sources are plain data, and every error names its line."""

import json
from pathlib import Path

import pytest

from agent.policy.files import load_policies
from agent.policy.source import PolicyError, read_yaml


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
        ("ü: 1\nb: a\x00b\n", 2, "control characters"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: 1\nb: !mkdir [x]\n", 2, "'!mkdir'"),
        ("a: !!int x\n", 1, "expected valid YAML"),
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
