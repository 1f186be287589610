"""`propriety policy diff` says what changes for a platform that moves."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app

pytestmark = pytest.mark.usefixtures("workplace")


def test_a_rule_of_one_place_alone_is_named_with_its_effect() -> None:
    result = CliRunner().invoke(app, ["policy", "diff", "en", "ar-SA"])
    assert result.exit_code == 0
    assert "alcohol" in result.output
    assert "medium, rewrite" in result.output
    assert "rule added" in result.output
    assert "weapons" not in result.output


def test_policies_with_the_same_rules_are_said_to_be_the_same() -> None:
    assert "same rules" in CliRunner().invoke(app, ["policy", "diff", "en", "de"]).output


def test_the_prompts_that_are_decided_otherwise_are_shown(workplace: Path) -> None:
    prompts = workplace / "prompts.txt"
    prompts.write_text("a woman holding a wine glass\n\na tree on a hill\n", encoding="utf-8")
    command = ["policy", "diff", "en", "ar-SA", "--prompts", str(prompts), "--detector", "nearest"]
    result = CliRunner().invoke(app, command)
    assert "a woman holding a wine glass" in result.output
    assert "a tree on a hill" not in result.output
    assert "1 of 2 prompts" in result.output


def test_what_is_no_locale_is_refused() -> None:
    assert CliRunner().invoke(app, ["policy", "diff", "en", "../base"]).exit_code == 2
