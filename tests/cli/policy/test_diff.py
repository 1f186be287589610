"""`propriety policy diff` shows what changes for a platform that moves."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli import app

pytestmark = pytest.mark.usefixtures("workplace")


def diff(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", "diff", *arguments])


def test_a_rule_of_one_place_is_shown_with_its_effect() -> None:
    result = diff("en", "ar-SA")
    assert result.exit_code == 0
    (row,) = [line for line in result.output.splitlines() if "alcohol" in line]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["alcohol", "–", "medium, rewrite", "rule added"]
    assert "weapons" not in result.output


def test_policies_with_the_same_rules_are_reported_as_such() -> None:
    assert "base and base have the same rules" in diff("en", "de").output


def test_base_can_be_compared_too() -> None:
    assert "alcohol" in diff("base", "ar-SA").output


def test_the_prompts_that_are_decided_differently_are_shown(workplace: Path) -> None:
    prompts = workplace / "prompts.txt"
    prompts.write_text("a woman holding a wine glass\n\na tree on a hill\n", encoding="utf-8")
    result = diff("en", "ar-SA", "--prompts", str(prompts), "--detector", "nearest")
    assert result.exit_code == 0
    (row,) = [line for line in result.output.splitlines() if "wine" in line]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "a woman holding a wine glass", "allow", "rewrite (alcohol)"
    ]  # fmt: skip
    assert "a tree on a hill" not in result.output
    assert "1 of 2 prompts" in result.output


def test_a_malformed_locale_or_file_is_refused(workplace: Path) -> None:
    assert diff("en", "../base").exit_code == 2
    prompts = workplace / "prompts.txt"
    prompts.write_bytes(b"\xff\xfe")
    result = diff("en", "ar-SA", "--prompts", str(prompts))
    assert (result.exit_code, "prompts.txt" in result.stderr) == (2, True)
    prompts.write_bytes("a tree\r\nrotes Käseglas".encode("cp1252"))
    result = diff("en", "ar-SA", "--prompts", str(prompts))
    assert (result.exit_code, "prompts.txt:2: the byte 0xE4 is not UTF-8" in result.stderr) == (2, True)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_file_of_prompts_may_have_a_byte_order_mark_and_any_line_ends(workplace: Path, end: str) -> None:
    prompts = workplace / "prompts.txt"
    prompts.write_bytes(f"\ufeffa woman holding a wine glass{end}{end}a tree\u2028on a hill{end}".encode())
    result = diff("en", "ar-SA", "--prompts", str(prompts), "--detector", "nearest")
    (row,) = [line for line in result.output.splitlines() if "wine" in line]
    assert row.split("│")[1].strip() == "a woman holding a wine glass"
    assert "1 of 2 prompts" in result.output
