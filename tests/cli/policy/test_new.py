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


def test_the_scaffold_loads_and_inherits(folder: Path) -> None:
    assert new("vi-VN").exit_code == 0
    assert new("ar-EG", "--extends", "ar-SA").exit_code == 0
    policies = load_policies(folder)
    assert policies["vi-VN"].lineage == ["vi-VN", "base"]
    assert "alcohol" in policies["ar-EG"].rules_by_id


def test_a_file_that_is_there_is_left_alone(folder: Path) -> None:
    before = (folder / "ar-SA.yaml").read_bytes()
    result = new("ar-SA")
    assert (result.exit_code, "is there already" in result.stderr) == (2, True)
    assert (folder / "ar-SA.yaml").read_bytes() == before


@pytest.mark.parametrize("arguments", [["../x"], ["xx-YY"], ["de_de"], ["de-x-a"], ["vi-VN", "--extends", "nowhere"]])
def test_what_is_no_locale_or_no_parent_is_refused(folder: Path, arguments: list[str]) -> None:
    before = sorted(folder.iterdir())
    assert new(*arguments).exit_code == 2
    assert sorted(folder.iterdir()) == before
