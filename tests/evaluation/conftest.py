"""The demo model, loaded once, since it draws real pictures at once."""

from typing import Any

import pytest

from generator.pipeline import load


@pytest.fixture(scope="session")
def demo() -> Any:
    return load()
