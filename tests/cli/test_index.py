"""`propriety index` encodes the concepts that have no vector, and shows why a prompt was caught or missed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli import app

pytestmark = pytest.mark.usefixtures("workplace")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["index", *arguments])


def test_build_encodes_once_and_prints_the_concepts_of_each_policy_and_the_file():
    first, second = run("build"), run("build")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "9 of 9 phrases" in first.output
    assert "0 of 9 phrases" in second.output
    assert "data/index/multilingual-e5-small.npz" in second.output
    assert Path("data/index/multilingual-e5-small.npz").is_file()
    (row,) = [line for line in first.output.splitlines() if "ar-SA" in line]
    assert [cell.strip() for cell in row.split("│")[2:4]] == ["9", "3"]


def test_a_start_after_build_encodes_no_concept(monkeypatch):
    run("build")
    before = Path("data/index/multilingual-e5-small.npz").stat().st_mtime_ns
    assert CliRunner().invoke(app, ["moderate", "a tree"]).exit_code == 0
    assert Path("data/index/multilingual-e5-small.npz").stat().st_mtime_ns == before


def test_search_shows_the_words_and_the_concept_for_each_rule_nearest_first():
    result = run("search", "--locale", "ar-SA", "--top", "1", "a woman holding a wine glass on a beach")
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines() if "0." in line]
    rule, margin, similarity, safe, words, concept = rows[0]
    assert rule == "alcohol"
    assert "wine glass" in words
    assert concept in ("a wine glass", "a woman holding a wine glass")
    assert float(margin) == pytest.approx(float(similarity) - float(safe), abs=0.0015)
    assert [row[0] for row in rows] == ["alcohol", "weapons"]


def test_search_reads_through_obfuscation_and_shows_its_reading():
    assert "Read as: a wine glass" in run("search", "--locale", "ar-SA", "a w1ne glass").output


def test_search_shows_no_rule_of_another_place():
    assert "alcohol" not in run("search", "--locale", "fr-FR", "a wine glass").output


@pytest.mark.parametrize(
    "arguments", [(" ",), ("\udce4\udcc8",), ("a tree", "--locale", "zz-ZZ"), ("a tree", "--top", "0")]
)
def test_search_refuses_an_empty_text_and_invalid_options(arguments):
    assert run("search", *arguments).exit_code == 2


def test_a_wrong_concept_bank_is_named_with_its_line_and_exits_with_2(workplace):
    (workplace.parent / "policies" / "concepts" / "shared.yaml").write_text("topcs: {}\n")
    for arguments in (("build",), ("search", "a tree")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "shared.yaml:1" in result.stderr
