"""The real LLM behind moderator and model, and the head of small policies."""

from pathlib import Path

import pytest
from langchain_openai import ChatOpenAI

from agent.llm import chat_model
from agent.moderator import Moderator
from agent.settings import Settings

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
    """The policies that ship, with a real LLM."""
    return Moderator(Settings(llm_url=llm_url, data_dir=data_dir))


@pytest.fixture(scope="session")
def model(llm_url: str) -> ChatOpenAI:
    return chat_model(Settings(llm_url=llm_url))


@pytest.fixture(scope="session")
def gone() -> ChatOpenAI:
    """An LLM whose server is not there."""
    return chat_model(Settings(llm_url="http://127.0.0.1:9/v1"))


@pytest.fixture(scope="session")
def head() -> str:
    """The beginning of a base policy, to which a test adds its rules."""
    return HEAD
