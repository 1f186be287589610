"""The chat model against a server that accepts requests and never responds."""

import asyncio
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from openai import APIStatusError

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


def test_prompts_go_to_the_llm_s_address_alone(loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.path)
            self.send_response(307)
            self.send_header("location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"{url}/proxy")
        model = chat_model(Settings(llm_url=f"{url}/v1", llm_timeout_s=5))
        with pytest.raises(APIStatusError, match="307"):
            loop.run(model.ainvoke("a tree"))
        server.shutdown()
    assert received == ["/v1/chat/completions"]
