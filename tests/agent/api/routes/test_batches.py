"""`/v1/batches`, with the official client: each line is answered, on the tenant's terms."""

import asyncio
import json
import threading
import time
from datetime import UTC, datetime

import httpx
import openai
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from agent.api import traffic
from agent.api.app import create_app
from agent.api.background import batch_worker
from agent.metrics import BATCH_LINES_WAITING
from agent.store.tenants import Scope, Terms
from propriety.verdict import Detector

TIMEOUT_S = 60
ENDED = ("completed", "expired", "cancelled")


def line(name, prompt="a tree", **changes):
    body = {"input": prompt, **changes.pop("extra", {})}
    return {"custom_id": name, "method": "POST", "url": "/v1/moderations", "body": body, **changes}


def create(client, lines, endpoint="/v1/moderations", **changes):
    content = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    file = client.files.create(file=("in.jsonl", content.encode()), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **changes)


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_end(client, batch):
    wait_until(lambda: client.batches.retrieve(batch.id).status in ENDED)
    return client.batches.retrieve(batch.id)


def output_lines(client, file_id):
    """The lines of an output or error file, by `custom_id`."""
    lines = [json.loads(each) for each in client.files.content(file_id).text.splitlines()] if file_id else []
    return {each["custom_id"]: each for each in lines}


@pytest.fixture(autouse=True)
def _do_not_wait(monkeypatch):
    monkeypatch.setattr(batch_worker, "POLL_S", 0.02)
    monkeypatch.setattr(batch_worker, "RETRY_AFTER_S", (0.01, 0.01))


@pytest.fixture
def own_moderator(moderator, tmp_path):
    """Decides by single words; a prompt in `gates` waits until its gate opens."""
    own = moderator.settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/own.db"})
    own_moderator, decide = moderator.with_settings(own), type(moderator).moderate
    own_moderator.calls, own_moderator.gates = [], {}

    async def moderate(messages, *arguments):
        verdict = await decide(own_moderator, messages, *arguments)
        if gate := own_moderator.gates.get(messages[-1].content):
            await asyncio.to_thread(gate.wait, TIMEOUT_S)
        return verdict

    own_moderator.moderate = moderate
    yield own_moderator
    for gate in own_moderator.gates.values():
        gate.set()


@pytest.fixture
def app(own_moderator):
    app = create_app(own_moderator)
    app.state.service.store.tenants.create("first", Terms(scopes=[Scope.MODERATE]))
    return app


@pytest.fixture
def client(app, serve):
    """Makes a client with the key of a new tenant: `client(**terms)`."""
    made = []
    for url in serve(app):

        def make(url=url, **terms):
            name = f"tenant-{len(app.state.service.store.tenants.all_keys())}"
            free = {"scopes": [Scope.MODERATE], "per_minute": None, "concurrent": None}
            key = app.state.service.store.tenants.create(name, Terms(**{**free, **terms}))
            made.append(openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0))
            return made[-1]

        yield make
        for one in made:
            one.close()


def prompts(own_moderator):
    return [messages[-1].content for messages, _, _ in own_moderator.calls]


def test_each_line_is_answered_like_a_live_request(client):
    one = client()
    batch = create(one, [line("a", "a glass of wine"), line("b"), line("c", ["a gun", "a tree"])], metadata={"k": "v"})
    assert (batch.object, batch.status, batch.metadata, batch.output_file_id) == (
        "batch",
        "validating",
        {"k": "v"},
        None,
    )
    assert batch.expires_at == batch.created_at + 24 * 3600
    done = wait_for_end(one, batch)
    assert done.status == "completed"
    assert done.request_counts.model_dump() == {"total": 3, "completed": 3, "failed": 0}
    assert done.error_file_id is None
    assert done.completed_at >= done.in_progress_at >= done.created_at
    answers = output_lines(one, done.output_file_id)
    assert list(answers) == ["a", "b", "c"]
    response = answers["a"]["response"]
    assert (response["status_code"], answers["a"]["error"]) == (200, None)
    live = one.moderations.create(input="a glass of wine").results[0].to_dict()
    for field in ("flagged", "categories", "category_scores"):
        assert response["body"]["results"][0][field] == live[field]
    assert len(answers["c"]["response"]["body"]["results"]) == 2


def test_chats_can_be_sent_in_batches_too(client):
    one = client()
    body = {"model": "propriety", "messages": [{"role": "user", "content": "a glass of wine"}]}
    chats = [line("a", url="/v1/chat/completions", body=body), line("b")]
    done = wait_for_end(one, create(one, chats, "/v1/chat/completions"))
    answer = output_lines(one, done.output_file_id)["a"]["response"]["body"]
    assert answer["choices"][0]["message"]["content"] == "a glass of juice"
    error = output_lines(one, done.error_file_id)["b"]["response"]["body"]["error"]
    assert "the batch's endpoint is /v1/chat/completions" in error["message"]


def test_an_invalid_line_becomes_an_error_line_and_the_others_are_answered(client):
    one = client()
    lines = [
        line("good"), "{broken", line("good"), line("number", 5), line("empty", ""), line("last"),
        line("model", extra={"model": "gpt"}), line("place", extra={"locale": "xx"}), line("crash", "crash"),
        line("url", url="/v1/reviews"),
    ]  # fmt: skip
    done = wait_for_end(one, create(one, lines))
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 2, 8)
    assert list(output_lines(one, done.output_file_id)) == ["good", "last"]
    errors = output_lines(one, done.error_file_id)
    status = {name: error["response"]["status_code"] for name, error in errors.items()}
    assert status == {None: 400, "good": 400, "number": 400, "empty": 400, "model": 404, "place": 400, "crash": 500,
                      "url": 400}  # fmt: skip
    error = {name: line["response"]["body"]["error"] for name, line in errors.items()}
    assert "line 2: Invalid JSON" in error[None]["message"]
    assert "line 3: custom_id: line 1 has the same" in error["good"]["message"]
    assert (error["number"]["param"], error["empty"]["code"]) == ("input", "invalid_prompt")
    assert "secret" not in one.files.content(done.error_file_id).text


def test_a_line_that_fails_on_our_side_is_retried(client, own_moderator):
    decide, failures = own_moderator.moderate, iter([OSError("a secret of the server")] * 2)

    async def moderate(*arguments):
        for error in failures:
            raise error
        return await decide(*arguments)

    own_moderator.moderate = moderate
    one = client()
    done = wait_for_end(one, create(one, [line("a"), line("b")]))
    assert list(output_lines(one, done.output_file_id)) == ["a", "b"]


def test_the_tenant_s_terms_apply_to_every_line(client, own_moderator):
    german = client(locales=["de"], default_locale="de-AT", detector=Detector.LLM, audience="children")
    done = wait_for_end(german, create(german, [line("own"), line("far", extra={"locale": "fr-FR"}),
                                        line("mild", extra={"model": "propriety-nearest"})]))  # fmt: skip
    assert list(output_lines(german, done.output_file_id)) == ["own"]
    codes = {
        name: error["response"]["body"]["error"]["code"]
        for name, error in output_lines(german, done.error_file_id).items()
    }
    assert codes == {"far": "locale_not_allowed", "mild": "detector_not_allowed"}
    assert own_moderator.calls[-1][1:] == ("de-AT-x-children", Detector.LLM)


def test_a_batch_and_its_files_are_visible_to_their_tenant_only(client):
    mine, other = client(), client()
    done = wait_for_end(mine, create(mine, [line("a")]))
    for call in (other.batches.retrieve, other.batches.cancel):
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            call(done.id)
    assert list(other.batches.list()) == []
    for file in (done.input_file_id, done.output_file_id):
        with pytest.raises(openai.NotFoundError):
            other.files.content(file)
        with pytest.raises(openai.NotFoundError) as refused:
            other.batches.create(input_file_id=file, endpoint="/v1/moderations", completion_window="24h")
        assert refused.value.param == "input_file_id"


def test_batches_are_listed_newest_first_page_by_page(client):
    one = client()
    made = [create(one, [line("a")]).id for _ in range(5)][::-1]
    assert [batch.id for batch in one.batches.list(limit=2)] == made
    first = one.batches.list(limit=2)
    assert (first.has_more, first.to_dict()["last_id"]) == (True, made[1])
    assert not one.batches.list(limit=9, after=made[1]).has_more
    for wrong in ({"limit": 0}, {"limit": 101}, {"order": "asc"}):
        with pytest.raises(openai.BadRequestError) as refused:
            one.batches.list(extra_query=wrong)
        assert refused.value.param == next(iter(wrong))


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"endpoint": "/v1/reviews"}, "endpoint"), ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": 5}, "input_file_id"), ({"metadata": {"k": 5}}, "metadata.k"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 3600}}, "output_expires_after"),
        ({"input_file_id": "\0"}, "input_file_id"), ({"metadata": {"k": "\ud800"}}, "metadata.k"),
    ],
)  # fmt: skip
def test_an_invalid_batch_returns_400_and_names_the_field(client, changes, param):
    one = client()
    body = {"input_file_id": "f", "endpoint": "/v1/moderations", "completion_window": "24h", **changes}
    headers = {"authorization": f"Bearer {one.api_key}", "content-type": "application/json"}
    answer = httpx.post(f"{one.base_url}batches", content=json.dumps(body), headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_the_output_of_a_batch_cannot_be_an_input(client):
    one = client()
    output = wait_for_end(one, create(one, [line("a")])).output_file_id
    with pytest.raises(openai.BadRequestError, match="output of a batch"):
        one.batches.create(input_file_id=output, endpoint="/v1/moderations", completion_window="24h")


def test_batch_lines_do_not_count_towards_the_tenant_s_rate_limit(client, app):
    slow = client(per_minute=10)
    batch = create(slow, [line(str(number)) for number in range(40)])
    wait_until(lambda: app.state.service.store.batches.find("tenant-1", batch.id).status == "completed")
    assert wait_for_end(slow, batch).request_counts.completed == 40
    with pytest.raises(openai.RateLimitError):
        slow.moderations.create(input=["a tree"] * 9) and slow.moderations.create(input="a tree")


def test_a_cancelled_batch_keeps_its_answers_and_reports_each_unanswered_line(client, own_moderator):
    one, own_moderator.gates["held"] = client(), threading.Event()
    batch = create(one, [line("a"), line("b", "held"), *(line(f"c{number}") for number in range(300))])
    wait_until(lambda: "held" in prompts(own_moderator))
    cancelling = one.batches.cancel(batch.id)
    assert (cancelling.status, cancelling.output_file_id) == ("cancelling", None)
    own_moderator.gates["held"].set()
    done = wait_for_end(one, batch)
    assert (done.status, done.request_counts.model_dump()) == (
        "cancelled", {"total": 302, "completed": 2, "failed": 300},
    )  # fmt: skip
    assert list(output_lines(one, done.output_file_id)) == ["a", "b"]
    rest = output_lines(one, done.error_file_id)
    assert {(each["response"], each["error"]["code"]) for each in rest.values()} == {(None, "batch_cancelled")}
    assert prompts(own_moderator) == ["a tree", "held"]
    with pytest.raises(openai.ConflictError, match="already ended: cancelled"):
        one.batches.cancel(batch.id)


@pytest.mark.parametrize("why", ["expired", "revoked"])
def test_a_batch_that_expires_or_loses_its_key_reports_each_unanswered_line(client, app, own_moderator, why):
    one, own_moderator.gates["held"] = client(), threading.Event()
    batch = create(one, [line("a", "held"), line("b")])
    wait_until(lambda: "held" in prompts(own_moderator))
    if why == "expired":
        with app.state.service.store.batches._database.begin() as connection:
            connection.execute(text("UPDATE batches SET expires_at = :now"), {"now": datetime.now(UTC)})
    else:
        app.state.service.store.tenants.revoke("tenant-1")
    own_moderator.gates["held"].set()
    wait_until(lambda: app.state.service.store.batches.find("tenant-1", batch.id).status in ENDED)
    row = app.state.service.store.batches.find("tenant-1", batch.id)
    status = "expired" if why == "expired" else "cancelled"
    assert (row.status, row.completed, row.failed) == (status, 1, 1)
    error = json.loads(b"".join(app.state.service.store.files.content(row.error_file_id)))["error"]
    assert error["code"] == f"batch_{status}"
    assert prompts(own_moderator) == ["held"]
    if why == "expired":
        assert wait_for_end(one, batch).expired_at


def test_live_requests_overtake_a_thousand_waiting_lines(client, own_moderator, monkeypatch):
    monkeypatch.setattr(traffic, "MAX_WAIT_FOR_LIVE_S", 3600)
    own_moderator.gates = {"line 0": threading.Event(), "live": threading.Event()}
    one, other = client(), client()
    batch = create(one, [line(str(number), f"line {number}") for number in range(1000)])
    wait_until(lambda: prompts(own_moderator) == ["line 0"])
    for number in range(20):  # answered while a line is being judged and a thousand wait
        assert other.moderations.create(input=f"live {number}").results
    live = threading.Thread(target=lambda: other.moderations.create(input="live"))
    live.start()
    wait_until(lambda: "live" in prompts(own_moderator))
    own_moderator.gates["line 0"].set()
    wait_until(lambda: one.batches.retrieve(batch.id).request_counts.completed == 1)
    time.sleep(0.5)
    assert [prompt for prompt in prompts(own_moderator) if prompt.startswith("line")] == ["line 0"]
    own_moderator.gates["live"].set()
    live.join()
    wait_until(lambda: "line 1" in prompts(own_moderator))
    one.batches.cancel(batch.id)
    wait_for_end(one, batch)


def test_the_number_of_batch_prompts_judged_at_once_is_bounded(client, own_moderator):
    own_moderator.gates = {name: threading.Event() for name in ("a", "b", "c")}
    one = client()
    batch = create(one, [line("all", ["a", "b", "c"])])
    for already, name in enumerate(("a", "b", "c")):
        wait_until(lambda name=name: name in prompts(own_moderator))
        time.sleep(0.1)
        assert len(prompts(own_moderator)) == already + 1
        own_moderator.gates[name].set()
    assert wait_for_end(one, batch).request_counts.completed == 1


def test_a_small_batch_does_not_wait_for_another_tenant_s_large_one(client, own_moderator):
    own_moderator.gates["many 0"] = threading.Event()
    large, small = client(), client()
    first = create(large, [line(str(number), f"many {number}") for number in range(300)])
    wait_until(lambda: "many 0" in prompts(own_moderator))
    second = create(small, [line(str(number), f"few {number}") for number in range(5)])
    own_moderator.gates["many 0"].set()
    wait_for_end(small, second)
    order = prompts(own_moderator)
    assert len([prompt for prompt in order[: order.index("few 4")] if prompt.startswith("many")]) <= 6
    large.batches.cancel(first.id)
    wait_for_end(large, first)


def test_metrics_count_finished_and_waiting_lines(client, own_moderator, monkeypatch):
    def done(result):
        return REGISTRY.get_sample_value("propriety_batch_lines_total", {"result": result}) or 0

    def live():
        labels = {"method": "POST", "route": "/v1/moderations", "status": "200"}
        return REGISTRY.get_sample_value("propriety_request_seconds_count", labels)

    waiting = []  # the workers of other tests' servers set the gauge too
    monkeypatch.setattr(BATCH_LINES_WAITING, "set", waiting.append)
    before, requests, own_moderator.gates["held"] = (done("completed"), done("failed")), live(), threading.Event()
    one = client()
    batch = create(one, [line("a", "held"), line("b", ""), line("c")])
    wait_until(lambda: "held" in prompts(own_moderator))
    assert 3 in waiting
    own_moderator.gates["held"].set()
    wait_for_end(one, batch)
    assert (done("completed"), done("failed")) == (before[0] + 2, before[1] + 1)
    assert live() == requests
    wait_until(lambda: waiting[-1] == 0)


def test_decisions_of_a_batch_are_in_the_decision_log(real, real_url):
    done = wait_for_end(real, create(real, [line("a", "a glass of wine", extra={"locale": "ar-SA"})]))
    decision = output_lines(real, done.output_file_id)["a"]["response"]["body"]["results"][0]["decision"]
    assert decision["action"] == "rewrite"
    assert httpx.get(f"{real_url}/v1/verdicts/{decision['id']}").json() == decision
