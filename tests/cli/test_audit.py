"""`propriety audit` exports decisions and deletes old ones."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.settings import Settings
from agent.store.store import Store
from cli import app
from propriety.verdict import Verdict

pytestmark = pytest.mark.usefixtures("workplace")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


@pytest.fixture
def log(blocked: Verdict, verdict, workplace: Path) -> None:
    with Store(Settings()) as store:
        store.decisions.write_all([(verdict("verdict-1"), "acme")])
        store.decisions.write_all([(blocked, "acme")])
        store.decisions.write_all([(blocked.model_copy(update={"id": "verdict-2"}), "apex")])


def test_decisions_are_exported_in_full_and_by_tenant(log: None, blocked: Verdict) -> None:
    lines = [json.loads(line) for line in run("export").stdout.splitlines()]
    assert [line["tenant"] for line in lines] == ["acme", "acme", "apex"]
    assert lines[1]["verdict"] == blocked.model_dump(mode="json")
    assert run("export", "--tenant", "apex", "--output", "apex.jsonl").exit_code == 0
    assert len(Path("apex.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("encoding", ["cp1252", "cp1256", "ascii"])
def test_an_export_to_a_shell_of_another_encoding_is_json_in_ascii(log: None, encoding: str) -> None:
    output = CliRunner(charset=encoding).invoke(app, ["audit", "export"]).stdout_bytes
    lines = [json.loads(line) for line in output.decode("ascii").splitlines()]
    assert lines[0]["verdict"]["prompt"] == "قلعة"


def test_a_file_that_cannot_be_written_is_named(log: None) -> None:
    result = run("export", "--output", "nowhere/decisions.jsonl")
    assert (result.exit_code, result.stderr.split(":")[0]) == (1, "nowhere/decisions.jsonl")


def test_only_restricted_decisions_have_statements_of_reasons(log: None, blocked: Verdict) -> None:
    result = run("export", "--format", "dsa")
    assert [json.loads(line)["puid"] for line in result.stdout.splitlines()] == [blocked.id, "verdict-2"]
    assert "bomb" not in result.stdout


def test_the_log_is_purged_by_age_or_by_the_setting(log: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("purge").exit_code == 2
    assert "0 decisions, 0 files and 0 turns" in run("purge", "--older-than", "1d").stderr
    monkeypatch.setenv("PROPRIETY_RETENTION_DAYS", "0.0000001")
    assert "3 decisions" in run("purge").stderr
    assert run("export").stdout == ""


@pytest.mark.parametrize(
    "arguments", [("export", "--since", "soon"), ("export", "--format", "csv"), ("purge", "--older-than", "1y")]
)
def test_an_invalid_argument_exits_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_printed_key_fits_the_setting_and_another_key_fails_the_export(
    monkeypatch: pytest.MonkeyPatch, blocked: Verdict
) -> None:
    monkeypatch.setenv("PROPRIETY_PROMPT_STORAGE", "encrypted")
    monkeypatch.setenv("PROPRIETY_PROMPT_KEY", run("key").stdout.strip())
    with Store(Settings()) as store:
        store.decisions.write_all([(blocked, "")])
    assert json.loads(run("export").stdout)["verdict"]["prompt"] == blocked.prompt
    monkeypatch.setenv("PROPRIETY_PROMPT_KEY", run("key").stdout.strip())
    other = run("export")
    assert other.exit_code == 1
    assert "PROPRIETY_PROMPT_KEY" in other.stderr
