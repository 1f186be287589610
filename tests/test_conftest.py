import os
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """import pytest

@pytest.mark.inapplicable({reason!r})
def test_probe() -> None:
    pytest.skip('nothing there')
"""


@pytest.mark.parametrize(
    ("ci", "reason", "summary"),
    [("true", "no tool", "1 failed"), ("", "no tool", "1 skipped"), ("true", "nothing", "1 skipped")],
)
def test_a_skip_fails_only_where_ci_is_set_and_its_reason_is_not_declared(
    tmp_path: Path, ci: str, reason: str, summary: str
) -> None:
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (tmp_path / "test_probe.py").write_text(PROBE.format(reason=reason))
    probe = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "ignore", str(tmp_path)],
        env={**os.environ, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert summary in probe.stdout
