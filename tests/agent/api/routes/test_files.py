"""`/v1/files`, over the wire and with the official client."""

import asyncio
import json
from contextlib import ExitStack

import httpx
import openai
import pytest

from agent.api.app import create_app
from agent.api.middleware import lingering
from agent.api.traffic import MAX_UPLOADS, MAX_UPLOADS_OF_TENANT
from agent.store.tenants import Scope, Terms

LINE = json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/moderations", "body": {"input": "a tree"}})


@pytest.fixture(scope="module")
def own_moderator(moderator, tmp_path_factory):
    own = {"database_url": f"sqlite:///{tmp_path_factory.mktemp('files')}/own.db", "file_mib": 1, "batch_prompts": 1000}
    return moderator.with_settings(moderator.settings.model_copy(update=own))


@pytest.fixture(scope="module")
def app(own_moderator):
    app = create_app(own_moderator)
    app.state.service.store.tenants.create("first", Terms(scopes=[Scope.MODERATE]))
    return app


@pytest.fixture(scope="module")
def served(app, serve):
    yield from serve(app)


@pytest.fixture
def client(app, served, request):
    """Makes a client with the key of a new tenant: `client(*scopes)`."""
    made = []

    def make(*scopes):
        name = f"tenant-{len(app.state.service.store.tenants.all_keys())}"
        key = app.state.service.store.tenants.create(name, Terms(scopes=scopes or [Scope.MODERATE]))
        made.append(openai.OpenAI(base_url=f"{served}/v1", api_key=key, max_retries=0))
        return made[-1]

    yield make
    for one in made:
        one.close()


def send(client, content=LINE, name="in.jsonl", **changes):
    return client.files.create(file=(name, content.encode()), **{"purpose": "batch", **changes})


def test_a_file_is_stored_shown_listed_returned_and_deleted(client):
    one = client()
    sent = [send(one, "\n".join([LINE, LINE.replace('"a"', '"قلعة"')]), "قلعة.jsonl"), send(one), send(one)]
    shown = one.files.retrieve(sent[0].id)
    assert shown == sent[0]
    assert (shown.object, shown.purpose, shown.status, shown.filename) == ("file", "batch", "processed", "قلعة.jsonl")
    content = one.files.content(shown.id)
    assert content.text == "\n".join([LINE, LINE.replace('"a"', '"قلعة"'), ""])
    assert shown.bytes == len(content.content) == int(content.response.headers["content-length"])
    assert [file.id for file in one.files.list(limit=2)] == [file.id for file in sent[::-1]]
    assert one.files.list(limit=2).has_more
    assert one.files.delete(shown.id).deleted
    with pytest.raises(openai.NotFoundError):
        one.files.content(shown.id)


def test_files_are_listed_by_purpose_and_in_either_order(client):
    one = client()
    sent = [send(one, name=f"{number}.jsonl").id for number in range(5)]
    assert [file.id for file in one.files.list(purpose="batch")] == sent[::-1]
    assert [file.id for file in one.files.list(purpose="batch", order="asc", limit=2)] == sent
    assert [file.id for file in one.files.list(order="desc", limit=10_000)] == sent[::-1]
    assert [file.id for file in one.files.list(order="asc", after=sent[2])] == sent[3:]
    assert list(one.files.list(purpose="fine-tune")) == []
    assert one.files.list(purpose="batch_output").data == []


@pytest.mark.parametrize("wrong", [{"order": "upwards"}, {"limit": 10_001}, {"limit": 0}, {"purpose": "x" * 65}])
def test_an_invalid_list_of_files_returns_400_and_names_the_parameter(client, wrong):
    with pytest.raises(openai.BadRequestError) as refused:
        client().files.list(**wrong)
    assert refused.value.param == next(iter(wrong))


def test_unknown_fields_of_an_upload_are_ignored(client):
    assert send(client(), extra_body={"colour": "red"}).id


@pytest.mark.parametrize("name", ["%00", "a%20b", "x" * 65, "%ED%A0%80", "'"])
def test_an_invalid_id_returns_400(client, served, name):
    headers = {"authorization": f"Bearer {client().api_key}"}
    for path, param in (
        (f"files/{name}", "file_id"),
        (f"batches/{name}", "batch_id"),
        (f"files?after={name}", "after"),
    ):
        answer = httpx.get(f"{served}/v1/{path}", headers=headers)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_file_name_loses_its_folder_and_unprintable_characters(client, served):
    part = "--b\r\nContent-Disposition: form-data; name="
    form = f'{part}"purpose"\r\n\r\nbatch\r\n{part}"file"; filename="a/b\tc.jsonl"\r\n\r\n{LINE}\r\n--b--\r\n'
    head = {"authorization": f"Bearer {client().api_key}", "content-type": "multipart/form-data; boundary=b"}
    assert httpx.post(f"{served}/v1/files", content=form, headers=head).json()["filename"] == "b?c.jsonl"


def test_a_file_is_visible_to_its_tenant_only(client):
    mine, other = client(), client()
    file = send(mine)
    for call in (other.files.retrieve, other.files.content, other.files.delete):
        with pytest.raises(openai.NotFoundError, match="does not exist") as refused:
            call(file.id)
        assert (refused.value.code, refused.value.param) == ("not_found", "file_id")
    assert list(other.files.list()) == []
    assert other.files.list(after=file.id).data == []
    assert mine.files.retrieve(file.id)


def test_files_need_the_scope_moderate(client):
    with pytest.raises(openai.PermissionDeniedError, match="scope 'moderate'"):
        send(client(Scope.DRAW, Scope.ADMIN))


@pytest.mark.parametrize(
    ("content", "changes", "param", "reason"),
    [
        ("prompt\na tree\n", {}, "file", "no line is a valid request; line 1"),
        ("", {}, "file", "it is empty"),
        ("\n".join([LINE] * 1001), {}, "file", "more than 1000 prompts"),
        (LINE + "\n" * (1 << 20), {}, "file", "more than"),
        (LINE, {"purpose": "fine-tune"}, "purpose", "Input should be 'batch'"),
        (LINE, {"expires_after": {"anchor": "created_at", "seconds": 3600}}, "expires_after", "kept until you delete"),
    ],
)
def test_an_invalid_upload_returns_400_names_the_field_and_stores_nothing(client, content, changes, param, reason):
    one = client()
    with pytest.raises(openai.BadRequestError, match=reason) as refused:
        send(one, content, **changes)
    assert refused.value.param == param
    assert list(one.files.list()) == []


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"json": {"purpose": "batch"}}, 400),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
        ({"data": {"purpose": "batch", "file": "a tree"}}, 400), ({"content": b""}, 400),
        ({"files": {"file": b"x" * (3 << 20)}, "data": {"purpose": "batch"}}, 413),
        ({"files": [("file", b"x"), ("file", b"y")]}, 400),
        ({"files": {"purpose": b"batch", "file": b"x"}}, 400),
    ],
)  # fmt: skip
def test_an_invalid_form_returns_a_4xx_in_openai_s_shape(client, served, form, status):
    headers = {"authorization": f"Bearer {client().api_key}", **form.pop("headers", {})}
    answer = httpx.post(f"{served}/v1/files", headers=headers, **form)
    assert answer.status_code == status
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}


def test_without_a_key_no_byte_of_a_file_is_read_before_the_answer(app, monkeypatch):
    monkeypatch.setattr(lingering, "LINGER_S", 0.2)

    async def upload():
        read, answered = [], []

        async def receive():
            await asyncio.sleep(0.1)
            if not answered:
                read.append(1)
            return {"type": "http.request", "body": b"x" * 65536, "more_body": True}

        async def send(message):
            answered.append(message)

        head = [(b"content-type", b"multipart/form-data; boundary=b"), (b"authorization", b"Bearer wrong")]
        scope = {"type": "http", "method": "POST", "path": "/v1/files", "raw_path": b"/v1/files", "query_string": b"",
                 "headers": head, "client": ("127.0.0.1", 1), "server": ("x", 80), "scheme": "http", "root_path": "",
                 "http_version": "1.1", "asgi": {"version": "3.0"}}  # fmt: skip
        await app(scope, receive, send)
        return answered[0]["status"], read

    assert asyncio.run(upload()) == (401, [])


def test_a_tenant_s_slow_uploads_keep_no_other_tenant_waiting(client, served, app):
    one, other = client(), client()
    with ExitStack() as slow:
        for _ in range(MAX_UPLOADS_OF_TENANT):
            slow.enter_context(app.state.service.traffic.upload(app.state.service.store.tenants.of(one.api_key).name))
        with pytest.raises(openai.RateLimitError, match="of your files are being uploaded") as refused:
            send(one)
        assert int(refused.value.response.headers["retry-after"]) > 0
        assert send(other).id
    assert send(one).id


def test_concurrent_uploads_are_bounded_and_the_next_may_retry(client, served, app):
    one = client()
    with ExitStack() as others:
        for number in range(MAX_UPLOADS):
            others.enter_context(app.state.service.traffic.upload(f"tenant-{number}-of-many"))
        with pytest.raises(openai.RateLimitError, match="16 files are being uploaded") as refused:
            send(one)
        assert int(refused.value.response.headers["retry-after"]) > 0
    assert send(one).id
