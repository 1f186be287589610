"""`propriety policy` lists and shows the policies in force."""

import json

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from agent.terminal.console import console
from cli import app

pytestmark = pytest.mark.usefixtures("workplace")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", *arguments])


def test_list_names_every_policy() -> None:
    result = run("list")
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines() if "│" in line]
    assert rows == [
        ["ar-SA", "Saudi Arabia", "2026-01-01", "2", "0", "base"],
        ["base", "Everywhere", "2026-01-01", "1", "0", ""],
    ]


def test_list_cuts_nothing_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 50)
    output = run("list").output
    assert "ar-SA" in output
    assert "2026-01-01" in output
    assert "…" not in output


def test_show_prints_the_resolved_policy_as_yaml() -> None:
    rules = yaml.safe_load(run("show", "ar-SA").output)["rules"]
    assert [(rule["id"], rule["severity"], rule["message"]["ar"]) for rule in rules] == [
        ("weapons", "high", "لا قنابل."),
        ("alcohol", "medium", "لا خمر."),
    ]


@pytest.mark.parametrize("encoding", ["cp1252", "cp1256", "ascii"])
def test_what_a_terminal_of_another_encoding_shows_can_be_read_again(
    encoding: str,
) -> None:
    whole = run("show", "ar-SA").output
    output = CliRunner(charset=encoding).invoke(app, ["policy", "show", "ar-SA"]).stdout_bytes
    assert yaml.safe_load(output.decode("ascii")) == yaml.safe_load(whole)


def test_show_refuses_a_malformed_locale() -> None:
    assert run("show", "../base").exit_code == 2


def test_schema_is_json_that_refuses_unknown_keys() -> None:
    assert json.loads(run("schema").output)["additionalProperties"] is False
