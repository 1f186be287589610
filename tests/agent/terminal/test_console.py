"""What holds of every command: its help teaches, and settings that are wrong end it with a reason."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from cli import app

pytestmark = pytest.mark.usefixtures("workplace")


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path
    for name, one in (below or {}).items():
        yield from commands(one, (*path, name))


@pytest.mark.parametrize("path", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_the_help_of_every_command_has_an_example_and_its_exit_statuses(path):
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert f"Example: propriety {' '.join(path)}" in said
    assert "Exit status: 0" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("moderate", "a tree"),
        ("generate", "a tree"),
        ("index", "build"),
        ("policy", "lint"),
        ("serve",),
        ("evaluate", "text", "--data", "sets"),
    ],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.parametrize(
    ("content", "reason"),
    [("port = 'x'", "port"), ("prot = 8000", "prot: Extra inputs"), ("port =", "propriety.toml: ")],
)
def test_settings_that_are_wrong_end_every_command_with_2_and_a_reason(arguments, content, reason):
    Path("sets").mkdir()
    Path("sets/mine.jsonl").write_text('{"id": 1, "text": "a tree", "label": "safe"}')
    Path("propriety.toml").write_text(content)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_a_decision_log_that_cannot_be_opened_ends_with_1_and_a_reason(monkeypatch):
    monkeypatch.setenv("PROPRIETY_DATA_DIR", "/proc/nowhere")
    result = CliRunner().invoke(app, ["moderate", "a tree"])
    assert result.exit_code == 1
    assert "the moderator cannot start" in result.stderr
