"""The LLM's connection: LangChain's chat model on vLLM's OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from itertools import chain, repeat
from typing import Any

import httpx
from langchain_core.outputs import ChatResult
from langchain_openai import ChatOpenAI
from openai import APIConnectionError, APITimeoutError, InternalServerError, RateLimitError
from opentelemetry.propagate import inject
from pydantic import PrivateAttr, SecretStr

from agent.judge.errors import LLMBusyError, LLMHangsError
from agent.judge.patience import Patience, Slots, patience
from agent.settings import Settings

log = logging.getLogger("propriety")

SLOW = 0.5  # an answer that takes this share of `llm_timeout_s` is slow
MAX_WAIT = 0.5  # a live prompt that would wait longer than this share of `llm_timeout_s` to be asked is refused
OFFLINE_FACTOR = 10  # times `llm_timeout_s`: offline work waits this long for one answer, and for any answer at all
PAUSES_S = (1, 2, 5, 10, 20)  # before a question is asked again; the last one repeats
TRANSIENT = (TimeoutError, APIConnectionError, InternalServerError, RateLimitError)


class PatientChat(ChatOpenAI):
    """Asks as many questions at once as the LLM answers in time, and the others in turn.

    A live question waits `answer_timeout_s` for a whole answer. After a timeout only one of them at a time tries again;
    the others fail at once. Our own code, because circuit breakers let every request through when they try again, and
    each would wait. Offline questions are asked again, until nothing was answered for `OFFLINE_FACTOR` times as long.
    """

    answer_timeout_s: float
    _slots: Slots = PrivateAttr()
    _hangs: bool = PrivateAttr(default=False)
    _live: int = PrivateAttr(default=0)
    _answered_at: float | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._slots = Slots(SLOW * self.answer_timeout_s)

    def admit(self) -> None:
        """Raises:
        LLMBusyError: a new live prompt would have to wait too long.
        """
        wait_s = self._slots.wait_s
        if patience() is Patience.NEW and not self._hangs and wait_s > MAX_WAIT * self.answer_timeout_s:
            raise LLMBusyError(wait_s)

    async def _agenerate(self, *arguments: Any, **named: Any) -> ChatResult:
        if patience() is Patience.OFFLINE:
            return await self._ask_patiently(*arguments, **named)
        return await self._ask_once(*arguments, **named)

    async def _ask_once(self, *arguments: Any, **named: Any) -> ChatResult:
        hung = self._hangs
        if hung and self._live:
            raise LLMHangsError
        async with self._slots.slot():
            if self._hangs and not hung:  # since this question waits for its turn
                raise LLMHangsError
            self._live += 1
            try:
                return await self._ask(self.answer_timeout_s, *arguments, **named)
            except Exception as error:
                self._hangs = isinstance(error, TimeoutError | APITimeoutError)
                raise
            finally:
                self._live -= 1

    async def _ask_patiently(self, *arguments: Any, **named: Any) -> ChatResult:
        clock, patience_s = asyncio.get_running_loop().time, OFFLINE_FACTOR * self.answer_timeout_s
        if self._answered_at is None:
            self._answered_at = clock()
        for pause_s in chain(PAUSES_S, repeat(PAUSES_S[-1])):
            if clock() - self._answered_at >= patience_s:
                return await self._ask_once(*arguments, **named)
            try:
                async with self._slots.slot():
                    return await self._ask(patience_s, *arguments, **named)
            except TRANSIENT as error:
                log.warning("the LLM did not answer (%s); waiting, and asking again", type(error).__name__)
            await asyncio.sleep(min(pause_s, patience_s / 10))
        raise AssertionError("the pauses never end")

    async def _ask(self, within_s: float, *arguments: Any, **named: Any) -> ChatResult:
        async with asyncio.timeout(within_s):
            result = await super()._agenerate(*arguments, **named)
        self._hangs, self._answered_at = False, asyncio.get_running_loop().time()
        return result


def chat_model(settings: Settings) -> PatientChat:
    """A greedy chat model. OpenAI's client retries nothing, since the model itself knows what can wait."""
    timeout_s = settings.llm_timeout_s
    return PatientChat(
        model=settings.llm_model,
        base_url=settings.llm_base_url,
        api_key=settings.llm_api_key or SecretStr("none"),
        temperature=0,
        http_async_client=_http_client(),
        timeout=httpx.Timeout(OFFLINE_FACTOR * timeout_s, connect=timeout_s),  # of each read
        answer_timeout_s=timeout_s,
        max_retries=0,
    )


@cache
def _http_client() -> httpx.AsyncClient:
    """All models of a process share it, in one event loop. Prompts go to the LLM's address alone: no redirect is
    followed, and no proxy of the environment. Without tracing the hook does nothing."""
    return httpx.AsyncClient(
        limits=httpx.Limits(max_connections=None), trust_env=False, event_hooks={"request": [_in_trace]}
    )


async def _in_trace(request: httpx.Request) -> None:
    inject(request.headers)
