"""Keys, scopes and terms, over HTTP and with the official client."""

import asyncio
import socket
import threading
import time
from io import StringIO

import httpx
import openai
import pytest
from rich.console import Console

from agent.api.app import create_app
from agent.api.errors import MAX_BODY
from agent.settings import Settings
from agent.stack import StartError
from agent.stack.sample import show_demo
from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms
from propriety.verdict import Detector

BOTH = [Scope.MODERATE, Scope.DRAW]


@pytest.fixture(scope="module")
def tenants(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('keys')}/keys.db"
    database = open_database(url)
    yield url, Tenants(database)
    database.dispose()


@pytest.fixture(scope="module")
def keyed(tenants, moderator, worker, serve):
    """The URL of an API for which keys are configured."""
    tenants[1].create("first", Terms(scopes=BOTH))
    keyed_moderator = moderator.with_settings(Settings(generator_url=worker, database_url=tenants[0]))
    yield from serve(create_app(keyed_moderator))


@pytest.fixture
def client(keyed, tenants, request):
    """Makes a client with the key of a new tenant: `client(**terms)`."""
    made = []

    def make(**terms):
        name = f"tenant-{len(tenants[1].all_keys())}"
        key = tenants[1].create(name, Terms(**{"scopes": BOTH, **terms}))
        made.append(openai.OpenAI(base_url=f"{keyed}/v1", api_key=key, max_retries=0))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}])
def test_without_a_valid_key_every_route_but_health_returns_401_in_openai_s_shape(keyed, header):
    for method, path in (
        ("POST", "/v1/moderations"), ("POST", "/v1/chat/completions"), ("POST", "/v1/images/generations"),
        ("GET", "/v1/policies"), ("GET", "/v1/policies/de-DE"), ("GET", "/v1/verdicts/v-1"), ("POST", "/v1/files"),
        ("GET", "/v1/files/f/content"), ("DELETE", "/v1/files/f"), ("POST", "/v1/batches"), ("GET", "/v1/batches"),
        ("POST", "/v1/responses"), ("DELETE", "/v1/responses/r"), ("GET", "/v1/models"), ("GET", "/v1/models/m"),
        ("GET", "/v1/picturesque"), ("GET", "/docs/a/b"), ("GET", "/v1/pictures/"), ("GET", "/v1/pictures/a/b.png"),
    ):  # fmt: skip
        body = {"input": "a tree", "prompt": "a tree", "messages": []}
        answer = httpx.request(method, keyed + path, headers=header, json=body)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        error = answer.json()["error"]
        assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_api_key", None)
    assert httpx.get(f"{keyed}/healthz").status_code == 200


def test_a_key_opens_the_routes_of_its_scopes_and_a_403_names_the_missing_scope(client):
    moderating, drawing = client(scopes=[Scope.MODERATE]), client(scopes=[Scope.DRAW])
    assert moderating.moderations.create(input="a tree").results
    assert drawing.images.generate(prompt="a tree").data
    with pytest.raises(openai.PermissionDeniedError, match="scope 'draw'"):
        moderating.images.generate(prompt="a tree")
    for refused in (drawing.moderations.create, drawing.responses.create):
        with pytest.raises(openai.PermissionDeniedError, match="scope 'moderate'"):
            refused(input="a tree")
    assert drawing.models.list().data


def test_a_locale_outside_the_terms_is_refused_however_it_is_written(client):
    german = client(locales=["de"], default_locale="de-AT")

    def moderate(locale):
        return german.moderations.create(input="a tree", extra_body={"locale": locale} if locale else {})

    assert [moderate(locale).results[0].decision["locale"] for locale in (None, "de-DE", "DE-de")] == [
        "de-AT", "de-DE", "de-DE",
    ]  # fmt: skip
    for other in ("fr-FR", "FR", "dee", "en-DE", "en-x-children", "ar-SA-u-nu-arab"):
        with pytest.raises((openai.PermissionDeniedError, openai.BadRequestError)) as refused:
            moderate(other)
        assert refused.value.code in ("locale_not_allowed", "unknown_locale")


def test_the_tenant_s_audience_applies_to_every_locale_and_cannot_be_changed(client):
    school = client(audience="children")

    def place(locale):
        return school.moderations.create(input="a tree", extra_body={"locale": locale}).results[0].decision["locale"]

    assert place("de-DE") == "de-DE-x-children"
    assert place("fr-FR-x-children") == "fr-FR-x-children"
    assert client().moderations.create(input="a tree", extra_body={"locale": "de-DE-x-children"}).results


@pytest.mark.slow
def test_changed_terms_take_effect_without_a_restart(client, tenants, keyed):
    german = client(locales=["de"])
    name = tenants[1].of(german.api_key).name
    place = {"locale": "fr-FR"}
    with pytest.raises(openai.PermissionDeniedError):
        german.moderations.create(input="a tree", extra_body=place)
    tenants[1].change(name, {"locales": ["fr"]})
    deadline = time.monotonic() + 30
    while httpx.post(f"{keyed}/v1/moderations", json={"input": "a tree", **place},
                     headers={"Authorization": f"Bearer {german.api_key}"}).status_code != 200:  # fmt: skip
        assert time.monotonic() < deadline
        time.sleep(0.2)
    with pytest.raises(openai.PermissionDeniedError):
        german.moderations.create(input="a tree", extra_body={"locale": "de-DE"})


def test_the_model_name_cannot_choose_a_milder_detector_than_the_policy_s(client, moderator):
    free, bound = client(), client(detector=Detector.LLM)
    free.moderations.create(input="a tree", model="propriety")
    assert moderator.calls[-1][2] is moderator.policies["en-US"].detector
    with pytest.raises(openai.PermissionDeniedError) as refused:
        free.moderations.create(input="a tree", model="propriety-nearest")
    assert (refused.value.code, refused.value.param) == ("detector_not_allowed", "model")
    bound.moderations.create(input="a tree", model="omni-moderation-latest")
    assert moderator.calls[-1][2] is Detector.LLM
    free.images.generate(prompt="a tree", model="gpt-image-1")
    assert moderator.calls[-1][2] is moderator.policies["en-US"].detector
    bound.moderations.create(input="a tree", model="propriety-llm")
    with pytest.raises(openai.PermissionDeniedError):
        bound.chat.completions.create(model="propriety-nearest", messages=[{"role": "user", "content": "a tree"}])


def test_a_request_over_the_rate_limit_returns_429_with_retry_after(client):
    slow = client(per_minute=3)
    slow.moderations.create(input=["a tree", "a hill", "a lake"])
    with pytest.raises(openai.RateLimitError) as refused:
        slow.moderations.create(input="a tree")
    assert (refused.value.code, refused.value.type) == ("rate_limit_exceeded", "requests")
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60


def test_a_long_prompt_counts_once_for_each_thousand_characters(client):
    slow = client(per_minute=8)
    slow.moderations.create(input=["a tree " * 286, "a hill"])  # 2,001 characters with the last word, and one
    slow.chat.completions.create(model="propriety", messages=[{"role": "user", "content": "a tree " * 500}])
    with pytest.raises(openai.RateLimitError):
        slow.moderations.create(input="a tree")
    with pytest.raises(openai.BadRequestError, match="9 prompts or pictures") as refused:
        client(per_minute=8).moderations.create(input=["a tree " * 1100, "a hill", "a lake"])
    assert refused.value.code == "request_over_limit"


def test_a_concurrent_request_counts_until_it_is_answered(client, moderator, monkeypatch):
    one, started, may_end = client(concurrent=1), threading.Event(), threading.Event()
    moderate = type(moderator).moderate

    async def slow(self, *arguments):
        started.set()
        await asyncio.to_thread(may_end.wait, 10)
        return await moderate(self, *arguments)

    monkeypatch.setattr(type(moderator), "moderate", slow)
    thread = threading.Thread(target=lambda: one.moderations.create(input="a tree"))
    thread.start()
    assert started.wait(10)
    with pytest.raises(openai.RateLimitError, match="are running"):
        one.moderations.create(input="a tree")
    may_end.set()
    thread.join()
    assert one.moderations.create(input="a tree").results


def test_a_tenant_reads_its_own_verdicts_only(client, keyed):
    mine, other = client(), client()
    verdict = mine.moderations.create(input="a gun").results[0].decision

    def read(tenant):
        return httpx.get(f"{keyed}/v1/verdicts/{verdict['id']}", headers={"Authorization": f"Bearer {tenant.api_key}"})

    assert read(mine).json() == verdict
    assert read(other).status_code == 404
    assert read(other).json()["error"]["code"] == "not_found"


def test_without_any_key_only_this_machine_is_served(url, moderator):
    assert httpx.get(f"{url}/v1/policies").status_code == 200
    app = create_app(moderator)
    for address, status in (("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 401), ("testclient", 401)):
        assert _status(app, address) == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8000", 200), ("LOCALHOST", 200), ("127.0.0.1", 200), ("[::1]:8000", 200), ("a-page.example", 401),
     ("localhost.example:8000", 401), ("10.0.0.7", 401), ("[", 401), ("", 401), ("127.0.0.1:x", 401)],
)  # fmt: skip
def test_without_any_key_a_page_open_in_a_local_browser_is_not_served(moderator, host, status):
    assert _status(create_app(moderator), "127.0.0.1", {"Host": host}) == status


def _status(app, address, headers=None):
    async def status():
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            return (await client.get("/v1/policies")).status_code

    return asyncio.run(status())


def test_nobody_is_served_without_a_key_unless_the_setting_says_so(moderator, tmp_path):
    own = {"database_url": f"sqlite:///{tmp_path}/keys.db"}
    assert _status(create_app(moderator.with_settings(Settings(**own))), "127.0.0.1") == 401
    app = create_app(moderator.with_settings(Settings(**own, keyless=True)))
    assert _status(app, "127.0.0.1") == 200
    key = app.state.service.store.tenants.create("acme", Terms(scopes=BOTH))
    assert _status(app, "127.0.0.1") == 200
    assert _status(app, "10.0.0.7", {"Authorization": f"Bearer {key}"}) == 200
    assert _status(app, "127.0.0.1", {"Authorization": "Bearer not-needed"}) == 200
    assert _status(app, "127.0.0.1", {"Authorization": f"Bearer {key}x"}) == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/reviews"), ("POST", "/v1/reviews/v-1"), ("POST", "/v1/policies/reload"), ("GET", "/metrics")],
)
def test_what_a_proxy_on_this_machine_passes_on_never_reaches_an_operator_s_route_without_a_key(url, method, path):
    # As nginx forwards by default: from the loopback, with the address of this server as Host.
    answer = httpx.request(method, url + path, json={"outcome": "confirmed", "reason": "r"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope")


def test_the_sample_conversation_uses_the_key_from_the_settings(keyed, tenants, worker, tmp_path):
    key = tenants[1].create("demo", Terms(scopes=BOTH))
    port = httpx.URL(keyed).port
    settings = Settings(port=port, generator_url=worker, output_dir=tmp_path, api_key=key)
    show_demo(settings, Console(file=StringIO()))
    assert (tmp_path / "demo-ar-SA.png").exists()
    with pytest.raises(StartError, match="invalid_api_key"):
        show_demo(settings.model_copy(update={"api_key": None}), Console(file=StringIO()))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"input": 5}', b"x" * 8 * MAX_BODY])
def test_without_a_valid_key_any_body_returns_401(keyed, body):
    answer = httpx.post(f"{keyed}/v1/moderations", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_without_a_key_the_body_is_not_requested(keyed):
    url = httpx.URL(keyed)
    with socket.create_connection((url.host, url.port), timeout=10) as line:
        line.sendall(
            b"POST /v1/moderations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n"
        )
        assert line.recv(4096).startswith(b"HTTP/1.1 401")
