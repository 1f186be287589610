"""What holds for every command: its help teaches and comes at once, and wrong settings end it with a reason."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import COMMANDS, app, load

pytestmark = pytest.mark.usefixtures("workplace")

SLOW = {"alembic", "faiss", "fastapi", "langchain_core", "numpy", "onnxruntime", "sklearn", "torch"}


def paths(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path
    for name, one in (below or {}).items():
        yield from paths(one, (*path, name))


@pytest.mark.parametrize("path", [path for name in COMMANDS for path in paths(load(name), (name,))], ids=" ".join)
def test_the_help_of_every_command_has_an_example_and_its_exit_statuses(path):
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert f"Example: propriety {' '.join(path)}" in text
    assert "Exit status: 0" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_describes_each_as_its_own_help_does(name):
    assert load(name).get_short_help_str(200) == COMMANDS[name]


def test_an_unknown_command_ends_with_2_and_the_nearest_name():
    result = CliRunner().invoke(app, ["moderat"])
    assert result.exit_code == 2
    assert "moderate" in result.stderr


@pytest.mark.parametrize(("names", "slow"), [((), {*SLOW, "pydantic", "sqlalchemy", "yaml"}), (COMMANDS, SLOW)])
def test_help_imports_nothing_slow(names, slow):
    code = "import sys\nfrom cli import app\nfor name in sys.argv[1:] or ['']:\n"
    code += " app([*name.split(), '--help'], standalone_mode=False)\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)
    assert slow.isdisjoint(done.stderr.split())


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
    [
        ("port = 'x'", "port: "),
        ("prot = 8000", "prot: Extra inputs"),
        ("port =", "propriety.toml: "),
        ("data_dir = 'K\u00e4se'".encode("cp1252"), "propriety.toml:1: the byte 0xE4 is not UTF-8"),
        ("port = 'x'".encode("utf-16"), "propriety.toml:1: the file is UTF-16; save it as UTF-8"),
        (r'data_dir = "C:\Users\me"', "write a path with backslashes in single quotes"),
        (r'data_dir = "C:\propriety"', "write a path with backslashes in single quotes"),
        ("generator_backend = 'openai'", "generator_url is missing"),
    ],
)
def test_wrong_settings_end_every_command_with_2_and_a_reason(arguments, content, reason, monkeypatch):
    monkeypatch.delenv("PROPRIETY_PORT")
    Path("sets").mkdir()
    Path("sets/mine.jsonl").write_text('{"id": 1, "text": "a tree", "label": "safe"}')
    Path("propriety.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_an_unusable_database_ends_with_1_and_a_reason(monkeypatch):
    monkeypatch.setenv("PROPRIETY_DATA_DIR", "/proc/nowhere")
    result = CliRunner().invoke(app, ["moderate", "a tree"])
    assert result.exit_code == 1
    assert "the moderator cannot start" in result.stderr
