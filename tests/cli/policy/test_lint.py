"""`propriety policy lint` says where a file is wrong, and what is unsound in one that loads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli import app

TESTS = """\
tests:
  - {prompt: a nail bomb on a table, expect: {action: block, rule: weapons}}
"""
ARABIC_TESTS = """\
tests:
  - {prompt: a man with a wine glass, expect: {action: rewrite, rule: alcohol}}
"""


@pytest.fixture
def folder(workplace: Path) -> Path:
    policies = workplace.parent / "policies"
    for name, tests in (("base", TESTS), ("ar-SA", ARABIC_TESTS)):
        with (policies / f"{name}.yaml").open("a", encoding="utf-8") as file:
            file.write(tests)
    general = "message:\n  rewrite: {en: Changed., ar: تم التغيير.}\n  block: {en: Blocked., ar: محظور.}\n"
    edit(policies / "ar-SA.yaml", "rules:\n", general + "rules:\n")
    return policies


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def lint(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", "lint", *arguments], env={"COLUMNS": "200"})


def test_sound_files_pass(folder: Path) -> None:
    result = lint()
    assert (result.exit_code, "0 findings" in result.output) == (0, True), result.output


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("severity: medium", "severty: medium", "ar-SA.yaml:12: "),
        ("2026-01-01", "2026-99-99", "ar-SA.yaml:1: "),
        ("Saudi Arabia", "a\x00b", "ar-SA.yaml:1: "),
    ],
)
def test_a_file_that_does_not_load_is_named_with_its_line(folder: Path, old: str, new: str, place: str) -> None:
    edit(folder / "ar-SA.yaml", old, new)
    result = lint()
    assert (result.exit_code, place in result.stderr) == (1, True), result.stderr


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rule: alcohol", "rule: weapons", "no test reaches it"),
        ("a man with a wine glass", "A wine glass", "stands in the bank"),
        ("No alcohol., ar: لا خمر.", "No alcohol.", "no message in the place's language, 'ar'"),
        ("topics: [alcohol]", "topics: [alcohol]\n    examples: {allowed: [a wine glass]}", "both safe and unsafe"),
        ("topics: [alcohol]", "topics: [alcohol]\n    safe_concepts: [a big wine glass]", "breaks alcohol"),
    ],
)
def test_what_is_unsound_is_found(folder: Path, old: str, new: str, expected: str) -> None:
    edit(folder / "ar-SA.yaml", old, new)
    result = lint("ar-SA")
    assert result.exit_code == 1
    assert expected in result.output
    assert "1 findings" in result.output


def test_one_locale_alone_is_checked_where_one_is_named(folder: Path) -> None:
    edit(folder / "ar-SA.yaml", "rule: alcohol", "rule: weapons")
    assert lint("en").exit_code == 0
    assert lint("../base").exit_code == 2


def test_an_example_that_the_judge_decides_otherwise_is_found(folder: Path, llm_url: str) -> None:
    examples = """topics: [alcohol]
    examples:
      violating: [a man drinking beer, a bottle of wine on a table, a red bicycle]
      allowed: [a glass of juice, a cup of coffee]"""
    edit(folder / "ar-SA.yaml", "topics: [alcohol]", examples)
    # In a process of its own, since LangChain's HTTP clients stay in the first event loop that uses them.
    command = [sys.executable, "-c", "from cli import app; app()", "policy", "lint", "ar-SA", "--judge"]
    environment = {**os.environ, "PROPRIETY_LLM_URL": llm_url, "COLUMNS": "200"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 1, result.stderr
    assert "the violating example 'a red bicycle'" in result.stdout
    assert "drinking beer" not in result.stdout


def test_without_an_llm_the_judge_cannot_be_asked(folder: Path) -> None:
    edit(folder / "ar-SA.yaml", "topics: [alcohol]", "topics: [alcohol]\n    examples: {violating: [a beer]}")
    result = lint("ar-SA", "--judge")
    assert result.exit_code == 2
    assert "propriety serve llm" in result.stderr
