"""The real LLM behind moderator and model."""

import pytest
from langchain_openai import ChatOpenAI

from agent.llm import chat_model
from agent.moderator import Moderator
from agent.settings import Settings


@pytest.fixture(scope="session")
def moderator(llm_url: str, tmp_path_factory: pytest.TempPathFactory) -> Moderator:
    """The policies that ship, with a real LLM."""
    return Moderator(Settings(llm_url=llm_url, data_dir=tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="session")
def model(llm_url: str) -> ChatOpenAI:
    return chat_model(Settings(llm_url=llm_url))


@pytest.fixture(scope="session")
def gone() -> ChatOpenAI:
    """An LLM whose server is not there."""
    return chat_model(Settings(llm_url="http://127.0.0.1:9/v1"))
