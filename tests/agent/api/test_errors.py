import json

import httpx
import pytest

from agent.api.errors import MAX_BODY

MODERATIONS, CHAT, IMAGES = "/v1/moderations", "/v1/chat/completions", "/v1/images/generations"
TREE = [{"role": "user", "content": "a tree"}]


def refusal(answer: httpx.Response) -> dict[str, object]:
    error = answer.json()["error"]
    assert error.keys() >= {"message", "type", "param", "code"}
    assert error["message"]
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
        (MODERATIONS, {"input": "a tree", "colour": "red"}, "colour"),
        (MODERATIONS, {"input": "a tree", "\ud800": 1}, None),
        (MODERATIONS, {"input": "a tree", "locale": "xx"}, "locale"),
        (MODERATIONS, {"input": "a tree", "locale": 5}, "locale"),
        (MODERATIONS, {"input": "a tree", "locale": "\ud800"}, "locale"),
        (MODERATIONS, {"input": "a tree", "model": "gpt-9"}, "model"),
        (CHAT, {"messages": []}, "messages"),
        (CHAT, {"messages": "a tree"}, "messages"),
        (CHAT, {"messages": [{"role": "tool", "content": "a tree"}]}, "messages[0].role"),
        (CHAT, {"messages": [{"role": "user"}]}, "messages[0].content"),
        (CHAT, {"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        (CHAT, {"messages": [{"role": "user", "content": ["a"]}]}, "messages[0].content[0]"),
        (CHAT, {"messages": TREE, "n": -1}, "n"),
        (CHAT, {"messages": TREE, "model": "gpt-9", "stream": True}, "model"),
        (CHAT, {"messages": TREE, "temperature": "hot"}, "temperature"),
        (IMAGES, {"prompt": ["a tree"]}, "prompt"),
        (IMAGES, {"prompt": "a tree", "n": -1}, "n"),
        (IMAGES, {"prompt": "a tree", "n": 10**30}, "n"),
        (IMAGES, {"prompt": "a tree", "n": 1.5}, "n"),
        (IMAGES, {"prompt": "a tree", "size": "99999x99999"}, "size"),
        (IMAGES, {"prompt": "a tree", "size": "0x0"}, "size"),
        (IMAGES, {"prompt": "a tree", "size": "-64x64"}, "size"),
        (IMAGES, {"prompt": "a tree", "size": "9" * 5000 + "x64"}, "size"),
        (IMAGES, {"prompt": "a tree", "size": "٦٤x64"}, "size"),
        (IMAGES, {"prompt": "a tree", "seed": -1}, "seed"),
        (IMAGES, {"prompt": "a tree", "seed": 10**40}, "seed"),
        (IMAGES, {"prompt": "a tree", "seed": 2**32}, "seed"),
        (IMAGES, {"prompt": "a tree", "seed": 2**32 - 1, "n": 2}, "seed"),
        (IMAGES, {"prompt": "a tree", "n": "2"}, "n"),
        (IMAGES, {"prompt": "a tree", "n": True}, "n"),
        (IMAGES, {"prompt": "a tree", "response_format": "url"}, "response_format"),
    ],
)
def test_bad_input_gets_a_4xx_that_names_the_field(url, path, body, param):
    content = json.dumps(body)
    answer = httpx.post(url + path, content=content, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    error = refusal(answer)
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff\xfe\xff", b"[]", b"null", b'"a tree"', b"[" * 100_000, b'{"input": NaN}',
        b'{"input": "a\x00"}', b'{"input": ' + b"9" * 6000 + b"}",
    ],
)  # fmt: skip
def test_a_broken_body_gets_a_4xx(url, content):
    answer = httpx.post(url + MODERATIONS, content=content, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    refusal(answer)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_gets_413(url, announced):
    body = b'{"input": "' + b"x" * MAX_BODY + b'"}'
    content = body if announced else (body[i : i + 65536] for i in range(0, len(body), 65536))
    answer = httpx.post(url + MODERATIONS, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert refusal(answer)["code"] == "request_too_large"


def test_unknown_paths_and_methods_are_told_in_the_same_shape(url):
    assert refusal(httpx.get(f"{url}/v1/nothing"))["code"] == "not_found"
    answer = httpx.get(url + MODERATIONS)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert refusal(answer)["code"] == "method_not_allowed"


def test_an_unforeseen_failure_tells_nothing_of_the_server_and_the_server_goes_on(url):
    answer = httpx.post(url + MODERATIONS, json={"input": "crash"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert refusal(answer)["code"] == "internal_error"
    assert httpx.post(url + MODERATIONS, json={"input": "a tree"}).status_code == 200


def test_a_locale_header_that_is_no_locale_is_refused(url):
    answer = httpx.post(url + MODERATIONS, json={"input": "a tree"}, headers={"Propriety-Locale": "xx"})
    assert answer.status_code == 400
    assert refusal(answer)["param"] == "locale"
