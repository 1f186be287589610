"""The chat model against a server that accepts requests and never responds."""

import asyncio
import socket
import time

import pytest

from agent.judge.chat_model import chat_model
from agent.judge.errors import LLMHangsError
from agent.settings import Settings


def test_after_a_timeout_only_one_request_at_a_time_waits_for_the_llm(loop: asyncio.Runner) -> None:
    async def send_at_once(count: int) -> list[type[BaseException]]:
        requests = (model.ainvoke("a tree") for _ in range(count))
        return [type(error) for error in await asyncio.gather(*requests, return_exceptions=True)]

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        model = chat_model(Settings(llm_url=url, llm_timeout_s=0.3))
        assert LLMHangsError not in loop.run(send_at_once(3))
        started = time.monotonic()
        assert loop.run(send_at_once(5)).count(LLMHangsError) == 4
        assert time.monotonic() - started >= 0.3
    with pytest.raises(Exception, match="Connection"):
        loop.run(model.ainvoke("a tree"))
    assert LLMHangsError not in loop.run(send_at_once(3)), "nobody waits for a server that refuses connections"
