"""`propriety policy new` writes a file that loads, and never over another."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agent.policy.files import load_policies
from cli import app


@pytest.fixture
def folder(workplace: Path) -> Path:
    return workplace.parent / "policies"


def new(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", "new", *arguments])


def test_the_new_file_is_named_and_loads(folder: Path) -> None:
    result = new("ar-EG", "--extends", "ar-SA")
    assert (result.exit_code, "ar-EG.yaml: add its title" in result.output) == (0, True), result.output
    assert load_policies(folder)["ar-EG"].lineage == ["ar-EG", "ar-SA", "base"]


def test_an_existing_file_is_refused(folder: Path) -> None:
    result = new("ar-SA")
    assert (result.exit_code, "ar-SA.yaml already exists" in result.stderr) == (2, True)


@pytest.mark.parametrize(("arguments", "option"), [(["xx-YY"], "LOCALE"), (["vi-VN", "--extends", "no"], "--extends")])
def test_an_invalid_locale_or_parent_is_refused(folder: Path, arguments: list[str], option: str) -> None:
    result = new(*arguments)
    assert (result.exit_code, option in result.stderr) == (2, True)
