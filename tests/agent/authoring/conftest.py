"""The small policies, as text that a test changes, and a moderator over them without an LLM."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.moderator import Moderator
from agent.open_moderator import open_moderator
from agent.settings import Settings

Open = Callable[[Path], Moderator]


@pytest.fixture
def folder(small_policies: Path, tmp_path: Path) -> Path:
    """A copy of the small policies."""
    return Path(shutil.copytree(small_policies, tmp_path / "policies"))


@pytest.fixture(scope="session")
def vectors_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the concepts' vectors are kept between the tests."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def open_over(vectors_dir: Path, tmp_path: Path) -> Iterator[Open]:
    """Opens a moderator over a folder of policies, with an empty decision log."""
    opened = []

    def open_one(policies_dir: Path) -> Moderator:
        log = f"sqlite:///{tmp_path}/log.db"
        moderator = open_moderator(
            Settings(policies_dir=policies_dir, data_dir=vectors_dir, database_url=log, llm_url="http://127.0.0.1:9/v1")
        )
        opened.append(moderator)
        return moderator

    yield open_one
    for moderator in opened:
        moderator.store.close()
