"""Callers that leave before they are answered, or in the middle of an answer: their place is free again."""

import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms
from propriety.verdict import Detector

LEAVING, SOON_S = 20, 10.0


@pytest.fixture(scope="module")
def api(serve: Any, llm: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One request at once is served."""
    folder = tmp_path_factory.mktemp("api")
    database = open_database(f"sqlite:///{folder}/propriety.db")
    terms = Terms(scopes=[Scope.MODERATE], detector=Detector.LLM, per_minute=None, concurrent=1)
    key = Tenants(database).create("acme", terms)
    operator = Tenants(database).create("operator", Terms(scopes=[Scope.ADMIN]))
    database.dispose()
    with serve(folder, llm_url=llm.url) as api:
        api.client.headers["Authorization"] = f"Bearer {key}"
        api.operator = {"Authorization": f"Bearer {operator}"}
        yield api


def begin(api: Any, conversation: str, stream: bool) -> socket.socket:
    """A chat as it is sent, of which nothing is read."""
    chat = {"messages": [{"role": "user", "content": "a bottle in a kitchen"}], "stream": stream,
            "model": "propriety-llm", "locale": "ar-SA", "conversation_id": conversation}  # fmt: skip
    body, address = json.dumps(chat).encode(), httpx.URL(api.url)
    line = socket.create_connection((address.host, address.port))
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing it resets the connection
    head = [
        "POST /v1/chat/completions HTTP/1.1", "host: localhost", "content-type: application/json",
        f"authorization: {api.client.headers['Authorization']}", f"content-length: {len(body)}", "", "",
    ]  # fmt: skip
    line.sendall("\r\n".join(head).encode() + body)
    return line


def is_being_judged(api: Any) -> bool:
    """Beside the question itself."""
    return "propriety_requests_in_progress 2.0" in api.client.get("/metrics", headers=api.operator).text


def check_its_place_is_free(api: Any, wait_until: Any) -> None:
    seconds = wait_until(lambda: api.ask().status_code != 429, SOON_S)
    print(f"back after {seconds:.1f} s")
    assert api.decision()["status"] == "ok"


def test_gone_while_it_is_judged(api: Any, llm: Any, wait_until: Any) -> None:
    llm.fail("late")
    line = begin(api, "judged", stream=True)
    wait_until(lambda: is_being_judged(api), SOON_S)
    assert api.ask().status_code == 429
    line.close()
    llm.fail("")
    check_its_place_is_free(api, wait_until)
    assert api.client.delete("/v1/conversations/judged").status_code == 200, "what was decided is kept"


def test_gone_in_the_middle_of_a_stream(api: Any, wait_until: Any) -> None:
    for number in range(LEAVING):
        line = begin(api, f"streamed-{number}", stream=True)
        assert line.recv(16).startswith(b"HTTP/1.1 200")
        line.close()
        wait_until(lambda: api.ask().status_code != 429, SOON_S)
    check_its_place_is_free(api, wait_until)
    for number in range(LEAVING):
        assert api.client.delete(f"/v1/conversations/streamed-{number}").status_code == 200
