"""Every response has the headers for browsers, errors included."""

import httpx
import pytest

from agent.api.middleware.headers import HEADERS


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/healthz", None, 200),
        ("POST", "/v1/moderations", {"input": "a tree"}, 200),
        ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "a tree"}], "stream": True}, 200),
        ("POST", "/v1/moderations", {}, 400),
        ("GET", "/nothing", None, 404),
        ("POST", "/v1/moderations", {"input": "x" * (2 << 20)}, 413),
        ("POST", "/v1/moderations", {"input": "crash"}, 500),
    ],
)
def test_every_response_has_the_security_headers(url, method, path, body, status):
    answer = httpx.request(method, url + path, json=body)
    assert answer.status_code == status
    assert answer.headers.items() >= {name.lower(): value for name, value in HEADERS.items()}.items()


def test_no_other_origin_is_allowed(url):
    origin = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(f"{url}/v1/moderations", headers=origin)
    answer = httpx.post(f"{url}/v1/moderations", json={"input": "a tree"}, headers=origin)
    assert preflight.status_code == 405
    for response in (preflight, answer):
        assert not [name for name in response.headers if name.startswith("access-control-")]
