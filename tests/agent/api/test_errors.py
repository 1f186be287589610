import json
import re
import socket
import struct
from collections.abc import Iterator

import httpx
import pytest

from agent.api import errors
from agent.api.errors import MAX_BODY

MODERATIONS, CHAT, RESPONSES, IMAGES = (
    "/v1/moderations", "/v1/chat/completions", "/v1/responses", "/v1/images/generations",
)  # fmt: skip
TREE = [{"role": "user", "content": "a tree"}]
GOOD = {
    MODERATIONS: {"input": "a tree"}, CHAT: {"messages": TREE}, RESPONSES: {"input": "a tree"},
    IMAGES: {"prompt": "a tree"},
}  # fmt: skip
JSON = {"content-type": "application/json"}

every_route = pytest.mark.parametrize("path", GOOD)


@pytest.fixture(scope="module")
def web(real_url: str) -> Iterator[httpx.Client]:
    """A client of the real moderator's server, which must still respond after all tests."""
    with httpx.Client(base_url=real_url) as client:
        yield client
        for path, body in GOOD.items():
            assert client.post(path, json=body).status_code == 200


def refusal(answer: httpx.Response) -> dict[str, object]:
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["code"]
    assert "Traceback" not in answer.text
    return error


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (MODERATIONS, {}, "input"),
        (MODERATIONS, {"input": 5}, "input"),
        (MODERATIONS, {"input": None}, "input"),
        (MODERATIONS, {"input": []}, "input"),
        (MODERATIONS, {"input": ""}, "input"),
        (MODERATIONS, {"input": ["a tree", ""]}, "input[1]"),
        (MODERATIONS, {"input": ["a tree", 5]}, "input[1]"),
        (MODERATIONS, {"input": [{"type": "text"}]}, "input[0].text"),
        (MODERATIONS, {"input": [{"type": "text", "text": 5}]}, "input[0].text"),
        (MODERATIONS, {"input": [{"type": "sound"}]}, "input[0]"),
        (MODERATIONS, {"input": "x" * 100_000}, "input"),
        (MODERATIONS, {"input": "a \ud800 tree"}, "input"),
        (MODERATIONS, {"input": "a tree", "locales": "de"}, "locales"),
        (MODERATIONS, {"input": "a tree", "conversation_id": "one"}, "conversation_id"),
        (MODERATIONS, {"input": "a tree", "model": "omni-moderation-\ud800"}, "model"),
        (MODERATIONS, {"input": "a tree", "locale": "xx"}, "locale"),
        (MODERATIONS, {"input": "a tree", "locale": 5}, "locale"),
        (MODERATIONS, {"input": "a tree", "locale": "\ud800"}, "locale"),
        (MODERATIONS, {"input": "a tree", "model": "gpt-9"}, "model"),
        (MODERATIONS, {"input": "a tree", "locale": "de-x-" + "-".join(["a" * 8] * 100_000)}, "locale"),
        (CHAT, {}, "messages"),
        (CHAT, {"messages": []}, "messages"),
        (CHAT, {"messages": "a tree"}, "messages"),
        (CHAT, {"messages": [{"role": "robot", "content": "a tree"}]}, "messages[0].role"),
        (CHAT, {"messages": [{"role": "system", "content": None}, *TREE]}, "messages[0].content"),
        (CHAT, {"messages": [{"role": "assistant", "content": None}]}, "messages"),
        (CHAT, {"messages": [{"role": "tool", "content": "a\x00tree"}]}, "messages[0].content"),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0]"),
        (CHAT, {"messages": [{"role": "assistant", "refusal": "no \ud800"}, *TREE]}, "messages[0].refusal"),
        (CHAT, {"messages": [{"role": "user"}]}, "messages[0].content"),
        (CHAT, {"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        (CHAT, {"messages": [{"role": "user", "content": ["a"]}]}, "messages[0].content[0]"),
        (CHAT, {"messages": [{"role": "user", "content": "a \ud800 tree"}]}, "messages[0].content"),
        (CHAT, {"messages": [{"role": "user", "content": ""}]}, "messages"),
        (CHAT, {"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        (CHAT, {"messages": [{"role": "user", "content": "x" * 100_000}]}, "messages"),
        (CHAT, {"messages": [{"role": "user", "content": "a\x00tree"}]}, "messages[0].content"),
        (CHAT, {"messages": TREE, "locale": ["de"]}, "locale"),
        (CHAT, {"messages": TREE, "n": -1}, "n"),
        (CHAT, {"messages": TREE, "n": 10**30}, "n"),
        (CHAT, {"messages": TREE, "stream": "yes"}, "stream"),
        (CHAT, {"messages": TREE, "model": "gpt-9", "stream": True}, "model"),
        (CHAT, {"messages": TREE, "temperature": "hot"}, "temperature"),
        (CHAT, {"messages": TREE, "temperature": float("nan")}, "temperature"),
        (CHAT, {"messages": TREE, "temperature": float("inf")}, "temperature"),
        (
            CHAT,
            {"messages": TREE, "stream": True, "stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
        ),
        (CHAT, {"messages": TREE, "conversationId": "one"}, "conversationId"),
        (RESPONSES, {}, "input"),
        (RESPONSES, {"input": None}, "input"),
        (RESPONSES, {"input": 5}, "input"),
        (RESPONSES, {"input": ""}, "input"),
        (RESPONSES, {"input": []}, "input"),
        (RESPONSES, {"input": ["a tree"]}, "input[0]"),
        (RESPONSES, {"input": [{"role": "robot", "content": "a tree"}]}, "input[0].role"),
        (RESPONSES, {"input": [{"content": "a tree"}]}, "input[0].role"),
        (RESPONSES, {"input": [{"type": "message", "content": "a tree"}]}, "input[0].role"),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        (RESPONSES, {"input": [{"type": "input_text", "text": "a tree"}]}, "input[0]"),
        (RESPONSES, {"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0]"),
        (RESPONSES, {"input": [{"role": "user"}]}, "input[0].content"),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        (RESPONSES, {"input": [{"type": "function_call_output", "output": {"a": 1}}]}, "input[0].output"),
        (RESPONSES, {"input": "a tree", "instructions": 5}, "instructions"),
        (RESPONSES, {"input": "a tree", "metadata": {"k": "\ud800"}}, "metadata.k"),
        (RESPONSES, {"input": "a tree", "background": True}, "background"),
        (RESPONSES, {"input": "a tree", "prompt": {"id": "pmpt_1"}}, "prompt"),
        (RESPONSES, {"input": "a tree", "model": "gpt-9"}, "model"),
        (RESPONSES, {"input": "a tree", "conversation": "a b"}, "conversation"),
        (RESPONSES, {"input": "a tree", "conversation_id": "one"}, "conversation_id"),
        (RESPONSES, {"input": "a tree", "previous_response_id": "resp_none"}, "previous_response_id"),
        (RESPONSES, {"input": "a tree", "previous_response_id": "r", "conversation": "c"}, "previous_response_id"),
        (IMAGES, {}, "prompt"),
        (IMAGES, {"prompt": ["a tree"]}, "prompt"),
        (IMAGES, {"prompt": ""}, "prompt"),
        (IMAGES, {"prompt": "x" * 100_000}, "prompt"),
        (IMAGES, {"prompt": "a \ud800 tree"}, "prompt"),
        (IMAGES, {"prompt": "a\x1b[31m tree"}, "prompt"),
        (IMAGES, {"prompt": "a tree", "locale": "not a locale!"}, "locale"),
        (IMAGES, {"prompt": "a tree", "model": "gpt-4o"}, "model"),
        (IMAGES, {"prompt": "a tree", "n": float("nan")}, "n"),
        (IMAGES, {"prompt": "a tree", "n": -1}, "n"),
        (IMAGES, {"prompt": "a tree", "n": 10**30}, "n"),
        (IMAGES, {"prompt": "a tree", "n": 1.5}, "n"),
        (IMAGES, {"prompt": "a tree", "size": "99999x99999"}, "size"),
        (IMAGES, {"prompt": "a tree", "size": "0x0"}, "size"),
        (IMAGES, {"prompt": "a tree", "size": 64}, "size"),
        (IMAGES, {"prompt": "a tree", "size": "65x64"}, "size"),
        (IMAGES, {"prompt": "a tree", "size": "-64x64"}, "size"),
        (IMAGES, {"prompt": "a tree", "size": "9" * 5000 + "x64"}, "size"),
        (IMAGES, {"prompt": "a tree", "size": "٦٤x64"}, "size"),
        (IMAGES, {"prompt": "a tree", "seed": -1}, "seed"),
        (IMAGES, {"prompt": "a tree", "seed": 10**40}, "seed"),
        (IMAGES, {"prompt": "a tree", "seed": 2**32}, "seed"),
        (IMAGES, {"prompt": "a tree", "seed": 2**32 - 1, "n": 2}, "seed"),
        (IMAGES, {"prompt": "a tree", "n": "2"}, "n"),
        (IMAGES, {"prompt": "a tree", "n": True}, "n"),
        (IMAGES, {"prompt": "a tree", "response_format": "path"}, "response_format"),
        (IMAGES, {"prompt": "a tree", "stream": True}, "stream"),
        (IMAGES, {"prompt": "a tree", "output_format": "svg"}, "output_format"),
        (IMAGES, {"prompt": "a tree", "background": "transparent"}, "background"),
    ],
)
def test_invalid_input_returns_a_4xx_that_names_the_field(web, path, body, param):
    answer = web.post(path, content=json.dumps(body), headers=JSON)
    assert 400 <= answer.status_code < 500
    error = refusal(answer)
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


@every_route
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b'"a tree"', "must be a JSON object"),
        (b"{", "not valid JSON: Expecting property name"),
        (b"\xff\xfe\xff", "cannot be read as JSON: 'utf"),
        (b'{"locale": "\xff"}', "can't decode byte 0xff in position 12"),
        (b'{"locale": "a\x00"}', "not valid JSON: Invalid control character"),
        (b'{"n": ' + b"9" * 6000 + b"}", "cannot be read as JSON: Exceeds the limit"),
        (b"[" * 100_000, "recursion depth"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "recursion depth"),
        (b"\x1f\x8b\x08", "cannot be read as JSON"),
    ],
)
def test_a_malformed_body_returns_a_400_that_says_what_is_wrong(web, path, content, reason):
    answer = web.post(path, content=content, headers=JSON)
    assert answer.status_code == 400
    assert reason in refusal(answer)["message"]


@every_route
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_returns_413(web, path, announced):
    body = b'{"input": "' + b"x" * 8 * MAX_BODY + b'"}'
    content = body if announced else (body[i : i + 65536] for i in range(0, len(body), 65536))
    answer = web.post(path, content=content, headers=JSON)
    assert answer.status_code == 413
    assert refusal(answer)["code"] == "request_too_large"


def raw(web: httpx.Client, head: bytes) -> socket.socket:
    address, port = re.findall(r"[\w.]+", str(web.base_url))[-2:]
    connection = socket.create_connection((address, int(port)), timeout=10)
    connection.sendall(
        b"POST /v1/moderations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" + head + b"\r\n"
    )
    return connection


def test_a_body_announced_as_too_large_is_not_read(web):
    with raw(web, f"content-length: {MAX_BODY + 1}\r\nexpect: 100-continue\r\n".encode()) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_body_that_never_arrives_times_out(web, monkeypatch):
    monkeypatch.setattr(errors, "BODY_TIMEOUT_S", 0.2)
    with raw(web, b"content-length: 9\r\n") as connection:
        connection.sendall(b"{")
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"too_slow" in answer


@every_route
@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_whose_content_type_is_not_json_returns_415(web, path, kind):
    answer = web.post(path, content=json.dumps(GOOD[path]), headers={"content-type": kind} if kind else {})
    assert answer.status_code == 415
    assert str(kind or "none") in refusal(answer)["message"]


@every_route
def test_unknown_paths_and_methods_return_errors_of_the_same_shape(web, path):
    assert refusal(web.get("/v1/nothing"))["code"] == "not_found"
    assert refusal(web.post(f"{path}/", json=GOOD[path]))["code"] == "not_found"
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = web.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"
        assert refusal(answer)["code"] == "method_not_allowed"


@every_route
@pytest.mark.parametrize("locale", ["zz", b"\xff\xfe"])
def test_an_invalid_locale_header_is_refused(web, path, locale):
    answer = web.post(path, json=GOOD[path], headers={"Propriety-Locale": locale})
    assert answer.status_code == 400
    assert refusal(answer)["param"] == "locale"


@every_route
@pytest.mark.parametrize("promised", [0, 1000], ids=["without reading", "before the body is whole"])
def test_the_server_survives_a_client_that_hangs_up(web, path, promised):
    body = json.dumps(GOOD[path] | ({"stream": True} if path in (CHAT, RESPONSES) else {})).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    address, port = re.findall(r"[\w.]+", str(web.base_url))[-2:]
    with socket.create_connection((address, int(port))) as connection:
        connection.sendall(f"{head}content-length: {len(body) + promised}\r\n\r\n".encode() + body)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets the connection
    assert web.post(path, json=GOOD[path]).status_code == 200


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_the_server_survives_a_client_that_leaves_a_stream(web, path):
    with web.stream("POST", path, json={**GOOD[path], "stream": True}) as answer:
        assert next(answer.iter_lines())
    assert web.post(path, json=GOOD[path]).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (MODERATIONS, {"input": "crash"}),
        (CHAT, {"messages": [{"role": "user", "content": "crash"}], "stream": True}),
        (RESPONSES, {"input": "crash", "stream": True}),
        (IMAGES, {"prompt": "crash"}),
    ],
)
def test_an_unexpected_error_reveals_nothing_and_the_server_continues(url, path, body):
    answer = httpx.post(url + path, json=body)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert refusal(answer)["code"] == "internal_error"
    assert httpx.post(url + path, json=GOOD[path]).status_code == 200
