"""Two small policies, so that the commands start fast and need no LLM."""

import shutil
from pathlib import Path

import pytest

from agent.terminal.console import console


@pytest.fixture
def workplace(small_policies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory. The settings point to a copy of the small policies in `../policies`."""
    policies, home = tmp_path / "policies", tmp_path / "home"
    shutil.copytree(small_policies, policies)
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("PROPRIETY_POLICIES_DIR", str(policies))
    monkeypatch.setenv("PROPRIETY_LLM_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("PROPRIETY_PORT", "9")  # nothing listens there, so the commands judge in their own process
    return home


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither our tables nor Typer's errors are wrapped, however wide the terminal was when `console` was made."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(console, "width", 200)
