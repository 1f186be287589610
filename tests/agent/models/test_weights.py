import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.models.fetch import EmbeddedModelError
from agent.models.weights import prepare_weights
from agent.settings import EMBEDDED_LLM


def test_existing_weights_are_used_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / EMBEDDED_LLM
    folder.mkdir()
    assert prepare_weights(tmp_path) == folder
    assert list(tmp_path.iterdir()) == [folder]


def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_500_000_000))
    with pytest.raises(EmbeddedModelError, match=r"1\.5 GB free.*PROPRIETY_MODELS_DIR"):
        prepare_weights(tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []
