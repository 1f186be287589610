"""A moderator and a model on the real LLM, databases, and the beginning of a policy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_openai import ChatOpenAI
from sqlalchemy import Engine

from agent.judge.chat_model import chat_model
from agent.moderator import Moderator
from agent.open_moderator import open_moderator
from agent.settings import Settings
from agent.store.database import open_database

HEAD = """\
locale: base
extends: null
title: Everywhere
version: 2026-01-01
detector: cascade
severities:
  low: {action: allow}
  medium: {action: rewrite, wxi: 0.8, tau_gc: 0.2}
  high: {action: block}
  critical: {action: block}
message:
  rewrite: {en: Changed.}
  block: {en: Blocked.}
rules:
"""


@pytest.fixture(scope="session")
def moderator(llm_url: str, data_dir: Path) -> Moderator:
    """A moderator on the shipped policies, with the real LLM."""
    return open_moderator(Settings(llm_url=llm_url, data_dir=data_dir))


@pytest.fixture(scope="session")
def model(llm_url: str) -> ChatOpenAI:
    return chat_model(Settings(llm_url=llm_url))


@pytest.fixture(scope="session")
def missing_llm() -> ChatOpenAI:
    """A model whose server does not exist."""
    return chat_model(Settings(llm_url="http://127.0.0.1:9/v1"))


@pytest.fixture(scope="session")
def head() -> str:
    """The beginning of a base policy, to which a test adds its rules."""
    return HEAD


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once per supported kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'log.db'}"
    url: str = request.getfixturevalue("postgres").new_database()
    return url


@pytest.fixture
def database(empty_url: str) -> Iterator[Engine]:
    """An open database, once per supported kind."""
    engine = open_database(empty_url)
    yield engine
    engine.dispose()
