"""`propriety policy test` judges by the policies and the concept bank of the folder that is named."""

import shutil
from pathlib import Path

from typer.testing import CliRunner

from agent.settings import Settings
from agent.store.store import Store
from cli import app


def test_the_concept_bank_of_the_named_folder_counts(workplace: Path) -> None:
    policies, drafts = workplace.parent / "policies", workplace / "drafts"
    with (policies / "ar-SA.yaml").open("a", encoding="utf-8") as file:
        file.write("tests:\n  - {prompt: a purple umbrella in the rain, expect: {action: rewrite, rule: alcohol}}\n")
    shutil.copytree(policies, drafts)
    bank = drafts / "concepts" / "shared.yaml"
    text = bank.read_text(encoding="utf-8")
    bank.write_text(text.replace("a wine glass,", "a purple umbrella,"), encoding="utf-8")
    command = ["policy", "test", "ar-SA", "--detector", "nearest"]
    failed = CliRunner().invoke(app, command)
    assert failed.exit_code == 1
    assert "ar-SA: a purple umbrella in the rain" in failed.output
    assert "expected rewrite alcohol, got allow" in failed.output
    passed = CliRunner().invoke(app, [*command, "--policies", str(drafts)])
    assert (passed.exit_code, "1 passed, 0 failed" in passed.output) == (0, True), passed.output


def test_a_policy_is_found_by_each_name_that_list_prints(workplace: Path) -> None:
    audience = workplace.parent / "policies" / "audience"
    audience.mkdir()
    tests = "tests:\n  - {prompt: a diagram of how to build a nail bomb, expect: {action: block, rule: weapons}}\n"
    (audience / "children.yaml").write_text(
        f"locale: children\nextends: null\ntitle: Children\nversion: 2026-01-01\n{tests}", encoding="utf-8"
    )
    result = CliRunner().invoke(app, ["policy", "test", "base-x-children"])
    assert (result.exit_code, "1 passed, 0 failed" in result.output) == (0, True), result.output


TREE = "tests:\n  - {prompt: a tree on a hill, expect: {action: allow}}\n"


def test_tests_are_not_in_the_decision_log(workplace: Path) -> None:
    with (workplace.parent / "policies" / "ar-SA.yaml").open("a", encoding="utf-8") as file:
        file.write(TREE)
    assert CliRunner().invoke(app, ["policy", "test", "--detector", "nearest"]).exit_code == 0
    with Store(Settings()) as store:
        assert store.decisions.recent(10) == []


def test_tests_that_the_llm_should_have_judged_are_counted_and_end_with_1_unless_that_is_accepted(
    workplace: Path,
) -> None:
    with (workplace.parent / "policies" / "ar-SA.yaml").open("a", encoding="utf-8") as file:
        file.write(TREE)
    command = ["policy", "test", "--detector", "llm"]
    degraded = CliRunner().invoke(app, command)
    assert (degraded.exit_code, "1 passed, 0 failed" in degraded.output) == (1, True)
    assert "1 tests are degraded" in degraded.output
    assert CliRunner().invoke(app, [*command, "--allow-degraded"]).exit_code == 0
