"""A tiny run against a real service with two small policies."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import load
from benchmarks.workload import endless_requests, requests

POLICIES = Path(__file__).parents[1] / "small_policies"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the command; returns its exit status, the rows of its table by column, and its stderr."""
    monkeypatch.setenv("PROPRIETY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PROPRIETY_POLICIES_DIR", str(POLICIES))
    monkeypatch.setenv("PROPRIETY_LLM_URL", "http://127.0.0.1:9/v1")

    def run(*arguments: str) -> tuple[int, list[dict[str, str]], str]:
        app = typer.Typer()
        app.command()(load.main)
        result = CliRunner().invoke(app, arguments)
        head, _, *rows = (line.strip("| ").split(" | ") for line in result.stdout.splitlines())
        return result.exit_code, [dict(zip(head, row, strict=True)) for row in rows], result.stderr

    return run


@pytest.mark.slow
def test_cold_prompts_are_judged_and_warm_ones_come_from_the_cache(run, tmp_path: Path) -> None:
    status, (cold, warm), _ = run("--detector", "nearest", "--at-once", "3", "--limit", "7", "--rounds", "2")
    assert status == 0
    assert (cold["cache"], cold["answers"], cold["of them cached"]) == ("cold", "7", "0%")
    assert (warm["cache"], warm["answers"], warm["of them cached"]) == ("warm", "14", "100%")
    for row in (cold, warm):
        assert 0 < float(row["p50 ms"]) <= float(row["p95 ms"]) <= float(row["p99 ms"])
        assert 0 < float(row["overhead ms"]) <= float(row["p99 ms"])
        assert float(row["memory MB"]) > 50
    assert not list(tmp_path.glob("load*")), "the service's own database is left behind"


@pytest.mark.slow
def test_prompts_judged_without_the_llm_are_an_error(run) -> None:
    status, rows, stderr = run("--detector", "llm", "--at-once", "2", "--limit", "4")
    assert (status, rows) == (1, [])
    assert "without the LLM" in stderr


def test_no_prompt_is_sent_twice() -> None:
    assert len(requests()) >= 500
    first = [request.text for request, _ in zip(endless_requests(), range(5000), strict=False)]
    assert len(set(first)) == len(first)
