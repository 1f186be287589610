"""The LLM as judge and rewriter use it, connected on first use: LangChain takes a second to import."""

from __future__ import annotations

import socket
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from agent.judge.errors import LLMUnavailableError
from agent.settings import is_loopback

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable

    from agent.judge.chat_model import PatientChat
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
    def connected(self) -> PatientChat:
        """The model itself."""
        from agent.judge.chat_model import chat_model

        return chat_model(self._settings)

    def connect(self) -> None:
        """Import and connect now. A server does so at its start, so that no request waits for it."""
        _ = self.connected

    def admit(self) -> None:
        """Call this before the first question about a prompt.

        Raises:
            LLMBusyError: more is asked than the LLM answers in time, so a live prompt is refused now.
        """
        if "connected" in vars(self):
            self.connected.admit()

    def bind(self, **options: Any) -> Runnable[Any, AIMessage]:
        """The model with options for one call, such as `max_tokens`.

        Raises:
            LLMUnavailableError: nothing listens at an address of this machine. Then nothing is imported either.
        """
        if "connected" not in vars(self):
            _check_listening(self._settings.llm_base_url)
        return self.connected.bind(**options)


def _check_listening(url: str) -> None:
    """Refuse an address of this machine at which nothing listens. Other machines are not asked, since that may take
    long."""
    address = urlsplit(url)
    if address.hostname and (address.hostname == "localhost" or is_loopback(address.hostname)):
        try:
            socket.create_connection((address.hostname, address.port or 80), timeout=1).close()
        except OSError as error:
            raise LLMUnavailableError(f"no LLM listens at {url}") from error
