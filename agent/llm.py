"""The LLM behind judge and rewriter: LangChain's chat model on vLLM's OpenAI-compatible server."""

from __future__ import annotations

from typing import Any

from langchain_openai import ChatOpenAI
from opentelemetry.propagate import inject
from pydantic import SecretStr

from agent.settings import Settings


class LLMUnavailableError(RuntimeError):
    """The server did not answer, or not in the form that was asked for; the caller degrades and says so."""


def chat_model(settings: Settings) -> ChatOpenAI:
    """A greedy chat model; it retries nothing, because the cascade has a detector that needs no LLM."""
    model = ChatOpenAI(
        model=settings.llm_model,
        base_url=settings.llm_base_url,
        api_key=settings.llm_api_key or SecretStr("none"),
        temperature=0,
        timeout=settings.llm_timeout_s,
        max_retries=0,
    )
    # No instrumentation knows this client's HTTP library; where nothing is traced the hook does nothing.
    model.root_async_client._client.event_hooks = {"request": [_in_trace]}
    return model


async def _in_trace(request: Any) -> None:
    inject(request.headers)
