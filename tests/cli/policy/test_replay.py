"""`propriety policy replay` shows what a changed policy would have decided, and changes nothing."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agent.settings import Settings
from agent.store.store import Store
from cli import app
from propriety.verdict import Verdict

WINE, TREE = "a woman holding a wine glass", "a tree on a hill"


@pytest.fixture
def draft(workplace: Path) -> Path:
    """ar-SA without its rule on alcohol."""
    path = workplace / "draft.yaml"
    text = (workplace.parent / "policies" / "ar-SA.yaml").read_text(encoding="utf-8")
    path.write_text(text[: text.index("rules:")] + "rules: []\n", encoding="utf-8")
    return path


def decided() -> list[Verdict]:
    with Store(Settings()) as store:
        return store.decisions.recent(10)


def replay(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["policy", "replay", *map(str, arguments)])


def test_what_would_change_is_counted_and_shown_and_nothing_is_logged(draft: Path) -> None:
    for prompt, locale in ((WINE, "ar-SA"), (WINE, "ar-SA"), (TREE, "ar-SA"), (WINE, "en-US")):
        assert CliRunner().invoke(app, ["moderate", "--locale", locale, prompt]).exit_code == 0
    before = decided()
    result = replay(draft)
    assert result.exit_code == 0, result.output
    assert "1 of 2 different prompts" in result.output
    lines = [" ".join(line.replace("│", " ").split()) for line in result.output.splitlines()]
    assert "rewrite allow 2" in lines
    assert "allow allow 1" in lines
    assert f"ar-SA {WINE} rewrite (alcohol) allow 2" in lines
    assert "en-US" not in result.output
    assert decided() == before
    assert "0 of 0 different prompts" in replay(draft, "--since", "0m").output
    assert "0 of 1 different prompts" in replay(draft, "--limit", "1").output


@pytest.mark.parametrize("since", ["7", "d", "-1d", "7y", "1.5h", "99999d"])
def test_an_invalid_time_is_refused(draft: Path, since: str) -> None:
    result = replay(draft, "--since", since)
    assert (result.exit_code, "such as 7d" in result.stderr) == (2, True)


def test_a_wrong_draft_is_named_with_its_line(draft: Path) -> None:
    draft.write_text(draft.read_text(encoding="utf-8").replace("title:", "titel:"), encoding="utf-8")
    result = replay(draft)
    assert (result.exit_code, "draft.yaml:3: titel: unknown key" in result.stderr) == (1, True)
