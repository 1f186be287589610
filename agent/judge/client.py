"""The LLM as judge and rewriter use it, connected on first use: LangChain takes a second to import."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable
    from langchain_openai import ChatOpenAI

    from agent.settings import Settings


class Message(NamedTuple):
    """One turn, in the form that LangChain converts."""

    role: Literal["system", "human", "ai"]
    content: str


class ChatModel:
    """The chat model of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def connected(self) -> ChatOpenAI:
        """The model itself; a server calls this at its start, so that no request waits for the import."""
        from agent.judge.chat_model import chat_model

        return chat_model(self._settings)

    def bind(self, **options: Any) -> Runnable[Any, AIMessage]:
        """The model with options for one call, such as `max_tokens`."""
        return self.connected.bind(**options)
