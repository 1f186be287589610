import os
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = "import pytest\n\ndef test_probe() -> None:\n    pytest.skip('nothing there')\n"


@pytest.mark.parametrize(("ci", "summary"), [("true", "1 failed"), ("", "1 skipped")])
def test_a_skip_fails_only_where_ci_is_set(tmp_path: Path, ci: str, summary: str) -> None:
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (tmp_path / "test_probe.py").write_text(PROBE)
    probe = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "CI": ci},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert summary in probe.stdout
