import subprocess
import sys

import pytest

from agent.api.drawing.finish import _tools
from agent.api.errors import ApiError


@pytest.mark.slow
def test_the_last_look_and_signing_load_no_torch():
    code = (
        "import sys\nfrom agent.api.drawing.finish import _tools\n"
        "_tools(None, None)\n"
        "assert not {'torch', 'diffusers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch):
    _tools.cache_clear()
    monkeypatch.setitem(sys.modules, "propriety.pictures.provenance", None)
    with pytest.raises(ApiError, match=r"propriety\[pictures\]") as missing:
        _tools(None, None)
    assert missing.value.status_code == 503


def test_a_missing_certificate_is_named_in_the_log(tmp_path, caplog):
    with pytest.raises(ApiError, match="see the log"):
        _tools(tmp_path / "chain.pem", tmp_path / "key.pem")
    assert "chain.pem cannot be read" in caplog.text
