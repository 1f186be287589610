"""Invalid names in a URL or a body are refused before they reach a database: SQLite stores what PostgreSQL refuses."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

LONG, TIMEOUT_S = "x" * 10_000, 60
NAMES = {"nul": "\0", "nul within": "a\0b", "lone surrogate": "\ud800", "long": LONG}
PATHS = (
    ("GET", "/v1/verdicts/{}"), ("POST", "/v1/reviews/{}"), ("GET", "/v1/reviews?before={}"),
    ("GET", "/v1/policies/{}"), ("DELETE", "/v1/conversations/{}"), ("DELETE", "/v1/responses/{}"),
    ("GET", "/v1/models/{}"), ("GET", "/v1/pictures/{}.png"),
    ("GET", "/v1/files/{}"), ("GET", "/v1/files/{}/content"), ("DELETE", "/v1/files/{}"), ("GET", "/v1/files?after={}"),
    ("GET", "/v1/batches/{}"), ("POST", "/v1/batches/{}/cancel"), ("GET", "/v1/batches?after={}"),
)  # fmt: skip
ENDPOINT, TREE = "/v1/moderations", {"input": "a tree on a hill"}
USER, REVIEW = {"role": "user", "content": "a tree on a hill"}, {"outcome": "confirmed", "reason": "a tree"}
BATCH = {"endpoint": ENDPOINT, "completion_window": "24h"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def client(
    request: pytest.FixtureRequest, start_api: Any, admin_headers: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of an API, once per kind of database."""
    folder = tmp_path_factory.mktemp("api")
    database_url = f"sqlite:///{folder}/propriety.db"
    if request.param == "postgresql":
        database_url = request.getfixturevalue("postgres").new_database()
    headers = {"Content-Type": "application/json", **admin_headers(database_url)}
    options = {"headers": headers, "timeout": 60, "trust_env": False}
    with start_api(folder, database_url=database_url) as (url, _), httpx.Client(base_url=url, **options) as client:
        yield client


def check_that_it_is_refused(client: httpx.Client, method: str, path: str, body: Any = None) -> None:
    answer = client.request(method, path, content=None if body is None else json.dumps(body))
    context = method, path[:60], str(body)[:200], answer.status_code, answer.text[:200]
    assert answer.status_code in (400, 404), context
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}, context
    assert answer.json()["error"]["param"], context


@pytest.mark.parametrize("name", ["%00", "a%00b", "%ED%A0%80", LONG], ids=NAMES)
def test_an_invalid_name_in_a_url_is_refused(client: httpx.Client, name: str) -> None:
    for method, path in PATHS:
        check_that_it_is_refused(client, method, path.format(name), REVIEW if method == "POST" else None)
    if name != "%ED%A0%80":  # servers turn invalid UTF-8 into a name that nobody has
        check_that_it_is_refused(client, "GET", f"/v1/reviews?tenant={name}")
        check_that_it_is_refused(client, "GET", f"/v1/files?purpose={name}")


def bodies(name: str, verdict: str, file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, body in ((ENDPOINT, TREE), ("/v1/chat/completions", {"messages": [USER]}), ("/v1/responses", TREE)):
        yield path, body | {"locale": name}
        yield path, body | {"model": name}
    yield "/v1/chat/completions", {"messages": [USER], "conversation_id": name}
    for field in ("conversation", "previous_response_id", "instructions"):
        yield "/v1/responses", {"input": "a tree on a hill", field: name}
    yield "/v1/responses", {"input": "a tree on a hill", "conversation": {"id": name}}
    yield "/v1/responses", {"input": name}
    for role in ("system", "assistant", "user", "tool"):  # stored as turns, whether drawn or not
        turn = {"role": role, "content": name}
        yield "/v1/chat/completions", {"messages": [turn, USER], "conversation_id": "kept"}
    yield f"/v1/reviews/{verdict}", REVIEW | {"reason": name}
    yield "/v1/batches", BATCH | {"input_file_id": name}
    yield "/v1/batches", BATCH | {"input_file_id": file, "metadata": {"name": name}}
    yield "/v1/batches", BATCH | {"input_file_id": file, "metadata": {name: "name"}}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_an_invalid_name_in_a_body_is_refused_and_nothing_is_stored(client: httpx.Client, name: str) -> None:
    verdict = client.post(ENDPOINT, json=TREE).json()["results"][0]["decision"]["id"]
    before = client.get("/v1/batches").json()["data"]
    for path, body in bodies(name, verdict, upload(client, "a")):
        check_that_it_is_refused(client, "POST", path, body)
    check_that_it_is_refused(client, "DELETE", "/v1/conversations/kept")
    assert client.get("/v1/batches").json()["data"] == before
    assert client.get("/v1/reviews", params={"status": "done"}).json()["data"] == []


def upload(client: httpx.Client, *names: str) -> str:
    lines = [json.dumps({"custom_id": name, "method": "POST", "url": ENDPOINT, "body": TREE}) for name in names]
    file = {"file": ("in\0\ud800.jsonl".encode("utf-8", "surrogatepass").decode("latin-1"), "\n".join(lines))}
    response = httpx.post(
        client.base_url.join("/v1/files"), files=file, data={"purpose": "batch"}, trust_env=False,
        headers={"Authorization": client.headers["Authorization"]},
    )  # fmt: skip
    return str(response.json()["id"])


def test_a_line_whose_id_cannot_be_stored_does_not_stop_the_other_lines(client: httpx.Client) -> None:
    batch = client.post("/v1/batches", json=BATCH | {"input_file_id": upload(client, "a", "\ud800", "\0")}).json()["id"]
    deadline = time.monotonic() + TIMEOUT_S
    while (ended := client.get(f"/v1/batches/{batch}").json())["status"] != "completed":
        assert time.monotonic() < deadline, ended
        time.sleep(0.05)
    custom_ids = {
        kind: [json.loads(line)["custom_id"] for line in client.get(f"/v1/files/{ended[kind]}/content").iter_lines()]
        for kind in ("output_file_id", "error_file_id")
    }
    assert custom_ids == {"output_file_id": ["a", "\0"], "error_file_id": [None]}


@pytest.mark.parametrize("before", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
def test_a_time_outside_the_range_of_utc_is_refused(client: httpx.Client, before: str) -> None:
    answer = client.get("/v1/reviews", params={"before": before})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "before")
