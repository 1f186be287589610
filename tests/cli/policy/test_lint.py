"""`propriety policy lint` shows where a file is wrong, and what is unsound in files that load."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli import app

TESTS = {
    "base": "a nail bomb on a table, expect: {action: block, rule: weapons}",
    "ar-SA": "a man with a wine glass, expect: {action: rewrite, rule: alcohol}",
}


@pytest.fixture
def folder(workplace: Path) -> Path:
    policies = workplace.parent / "policies"
    for name, test in TESTS.items():
        with (policies / f"{name}.yaml").open("a", encoding="utf-8") as file:
            file.write(f"tests:\n  - {{prompt: {test}}}\n")
    return policies


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def lint(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", "lint", *arguments])


def test_sound_files_pass(folder: Path) -> None:
    result = lint()
    assert (result.exit_code, "0 findings" in result.output) == (0, True), result.output


def test_a_file_that_does_not_load_is_named_with_its_line(folder: Path) -> None:
    edit(folder / "ar-SA.yaml", "severity: medium", "severty: medium")
    result = lint()
    assert (result.exit_code, "ar-SA.yaml:8: rules.alcohol.severty: unknown key" in result.stderr) == (1, True)


def test_what_is_unsound_is_shown_under_its_locale_alone(folder: Path) -> None:
    edit(folder / "ar-SA.yaml", "rule: alcohol", "rule: weapons")
    result = lint("ar-SA")
    assert result.exit_code == 1
    assert "no test expects this rule" in result.output
    assert "1 findings" in result.output
    assert lint("en").exit_code == 0


def test_a_malformed_locale_is_refused(folder: Path) -> None:
    assert lint("../base").exit_code == 2


@pytest.mark.parametrize("path", ["drafts/ar-SA.yaml", "C:\\drafts\\ar-SA.yaml", "مسودة.yml"])
def test_a_file_that_does_not_exist_is_named(folder: Path, path: str) -> None:
    result = lint(path)
    assert (result.exit_code, result.stderr) == (2, f"there is no file {path}; correct its path, or name a locale\n")


def test_an_example_that_the_llm_contradicts_is_found(folder: Path, llm_url: str) -> None:
    examples = """topics: [alcohol]
    examples:
      violating: [a man drinking beer, a bottle of wine on a table, a red bicycle]
      allowed: [a glass of juice, a cup of coffee]"""
    edit(folder / "ar-SA.yaml", "topics: [alcohol]", examples)
    # In another process, since LangChain's HTTP clients stay in the first event loop that uses them.
    command = [sys.executable, "-c", "from cli import app; app()", "policy", "lint", "ar-SA", "--judge"]
    environment = {**os.environ, "PROPRIETY_LLM_URL": llm_url, "COLUMNS": "200"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 1, result.stderr
    assert "the violating example 'a red bicycle'" in result.stdout
    assert "drinking beer" not in result.stdout


def test_judge_needs_an_llm(folder: Path) -> None:
    edit(folder / "ar-SA.yaml", "topics: [alcohol]", "topics: [alcohol]\n    examples: {violating: [a beer]}")
    result = lint("ar-SA", "--judge")
    assert result.exit_code == 2
    assert "propriety serve llm" in result.stderr


def test_a_file_is_checked_in_place_of_its_locale_s_policy(folder: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft of Saudi Arabia.yaml"
    draft.write_bytes((folder / "ar-SA.yaml").read_bytes())
    assert lint("--policies", str(folder), str(draft)).exit_code == 0
    edit(draft, "rule: alcohol", "rule: weapons")
    result = lint("--policies", str(folder), str(draft))
    assert result.exit_code == 1
    assert "no test expects this rule" in result.stdout.replace("\n", " ")
    edit(draft, "severity: medium", "severity: mild")
    assert f"{draft.name}:" in lint("--policies", str(folder), str(draft)).stderr.replace("\n", "")
