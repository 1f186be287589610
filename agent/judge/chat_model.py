"""The LLM's connection: LangChain's chat model on vLLM's OpenAI-compatible server."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.outputs import ChatResult
from langchain_openai import ChatOpenAI
from openai import APITimeoutError
from opentelemetry.propagate import inject
from pydantic import PrivateAttr, SecretStr

from agent.judge.errors import LLMHangsError
from agent.settings import Settings


class ImpatientChat(ChatOpenAI):
    """Waits `answer_timeout_s` for a whole answer. After a timeout only one request at a time tries again; the others
    fail at once.

    Our own code, because circuit breakers let every request through when they try again, and each would wait.
    """

    answer_timeout_s: float
    _hangs: bool = PrivateAttr(default=False)
    _running: int = PrivateAttr(default=0)

    async def _agenerate(self, *arguments: Any, **named: Any) -> ChatResult:
        if self._hangs and self._running:
            raise LLMHangsError
        self._running += 1
        try:
            async with asyncio.timeout(self.answer_timeout_s):
                result = await super()._agenerate(*arguments, **named)
        except Exception as error:
            self._hangs = isinstance(error, TimeoutError | APITimeoutError)
            raise
        finally:
            self._running -= 1
        self._hangs = False
        return result


def chat_model(settings: Settings) -> ChatOpenAI:
    """A greedy chat model. It retries nothing, because the cascade has a detector that needs no LLM."""
    model = ImpatientChat(
        model=settings.llm_model,
        base_url=settings.llm_base_url,
        api_key=settings.llm_api_key or SecretStr("none"),
        temperature=0,
        timeout=settings.llm_timeout_s,  # of each read, which a slow stream never exceeds
        answer_timeout_s=settings.llm_timeout_s,
        max_retries=0,
    )
    # No instrumentation knows this client's HTTP library. Without tracing the hook does nothing.
    model.root_async_client._client.event_hooks = {"request": [_in_trace]}
    return model


async def _in_trace(request: Any) -> None:
    inject(request.headers)
