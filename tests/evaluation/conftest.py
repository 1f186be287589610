"""The demo model, loaded once, and settings that need no LLM."""

from pathlib import Path
from typing import Any

import pytest

from agent.settings import Settings
from generator.models import load


@pytest.fixture(scope="session")
def demo() -> Any:
    return load()


@pytest.fixture(scope="module")
def small_settings(small_policies: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two small policies, and no LLM."""
    data = tmp_path_factory.mktemp("data")
    return Settings(policies_dir=small_policies, data_dir=data, llm_url="http://127.0.0.1:9/v1")
