"""The LLM behind judge and rewriter: LangChain's chat model on vLLM's OpenAI-compatible server."""

from __future__ import annotations

from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from agent.settings import Settings


class LLMUnavailableError(RuntimeError):
    """The server did not answer, or not in the form that was asked for; the caller degrades and says so."""


def chat_model(settings: Settings) -> ChatOpenAI:
    """A greedy chat model; it retries nothing, because the cascade has a detector that needs no LLM."""
    return ChatOpenAI(
        model=settings.llm_model,
        base_url=settings.llm_base_url,
        api_key=settings.llm_api_key or SecretStr("none"),
        temperature=0,
        timeout=settings.llm_timeout_s,
        max_retries=0,
    )
