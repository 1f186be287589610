"""A batch continues where it stopped, after a kill and when two processes share it."""

import asyncio
import datetime as dt
import json
import signal
import threading
import time

import httpx
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from agent.api.app import create_app
from agent.api.background import batch_worker
from agent.settings import Storage
from agent.store import batch_work
from agent.store.files import Line
from agent.store.store import Store

LINES, TIMEOUT_S = 60, 120
ENDPOINT = "/v1/moderations"

pytestmark = pytest.mark.slow


def create_batch(client: httpx.Client, count: int) -> str:
    body = {"locale": "ar-SA"}
    lines = [
        {"custom_id": str(number), "method": "POST", "url": ENDPOINT, "body": {"input": f"a tree {number}", **body}}
        for number in range(count)
    ]
    lines[7]["body"] = {"input": 7}
    content = "\n".join(json.dumps(line) for line in lines).encode()
    sent = client.post("/v1/files", files={"file": ("in.jsonl", content)}, data={"purpose": "batch"}).json()
    batch = {"input_file_id": sent["id"], "endpoint": ENDPOINT, "completion_window": "24h"}
    return client.post("/v1/batches", json=batch).json()["id"]


def wait_until(client: httpx.Client, batch: str, reached) -> dict:
    deadline = time.monotonic() + TIMEOUT_S
    while not reached(seen := client.get(f"/v1/batches/{batch}").json()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen


def processed(seen: dict) -> int:
    return seen["request_counts"]["completed"] + seen["request_counts"]["failed"]


def custom_ids(client: httpx.Client, file: str) -> list[str]:
    return [json.loads(line)["custom_id"] for line in client.get(f"/v1/files/{file}/content").text.splitlines()]


def connect(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=30, trust_env=False)


def test_a_kill_neither_loses_nor_repeats_a_line(start, empty_url: str) -> None:
    url, process = start(empty_url, batch_concurrency=3)
    with connect(url) as client:
        batch = create_batch(client, LINES)
        wait_until(client, batch, lambda seen: processed(seen) >= LINES // 4)
        process.send_signal(signal.SIGKILL)
        process.wait()
    url, _ = start(empty_url, batch_concurrency=3)
    with connect(url) as client:
        before = processed(client.get(f"/v1/batches/{batch}").json())
        assert LINES // 4 <= before < LINES
        ended = wait_until(client, batch, lambda seen: seen["status"] == "completed")
        output, errors = custom_ids(client, ended["output_file_id"]), custom_ids(client, ended["error_file_id"])
    assert ended["request_counts"] == {"total": LINES, "completed": LINES - 1, "failed": 1}
    assert errors == ["7"]
    assert output == [str(number) for number in range(LINES) if number != 7]


@pytest.fixture
def pair(moderator, empty_url: str, serve):
    """Starts two servers on one database, whose moderators wait for `wait`: yields one URL and the calls of both."""

    def start_both(wait):
        own = moderator.settings.model_copy(update={"database_url": empty_url})
        moderators = [moderator.with_settings(own), moderator.with_settings(own)]
        for own_moderator in moderators:
            own_moderator.calls = []

            async def slow(*arguments, own_moderator=own_moderator):
                verdict = await type(moderator).moderate(own_moderator, *arguments)
                await wait()
                return verdict

            own_moderator.moderate = slow
        for url in serve(create_app(moderators[0])):
            for _ in serve(create_app(moderators[1])):
                yield url, [own_moderator.calls for own_moderator in moderators]

    return start_both


def test_two_processes_share_the_work_and_answer_no_line_twice(pair) -> None:
    for url, calls in pair(lambda: asyncio.sleep(0.02)):
        with connect(url) as client:
            batches = [create_batch(client, 40) for _ in range(4)]
            for batch in batches:
                ended = wait_until(client, batch, lambda seen: seen["status"] == "completed")
                assert custom_ids(client, ended["output_file_id"]) == [str(n) for n in range(40) if n != 7]
        assert sum(map(len, calls)) == 4 * 39
        assert all(calls)


def test_a_line_slower_than_the_hold_is_not_taken_by_another_process(pair, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (batch_work, batch_worker):
        monkeypatch.setattr(module, "HELD", dt.timedelta(seconds=2))
    gate = threading.Event()
    for url, calls in pair(lambda: asyncio.to_thread(gate.wait, TIMEOUT_S)):
        with connect(url) as client:
            batch = create_batch(client, 8)
            time.sleep(6)
            assert sorted(map(len, calls)) == [0, 1]
            gate.set()
            wait_until(client, batch, lambda seen: seen["status"] == "completed")


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_lost_connections_lose_no_line(start, empty_url: str) -> None:
    url, _ = start(empty_url)
    ended_by_us = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )
    with connect(url) as client:
        batch = create_batch(client, LINES)
        wait_until(client, batch, lambda seen: processed(seen) >= 5)
        engine = create_engine(empty_url)
        for _ in range(10):
            time.sleep(0.2)
            with engine.connect() as connection:
                connection.execute(ended_by_us)
        engine.dispose()
        ended = wait_until(client, batch, lambda seen: seen["status"] == "completed")
        assert custom_ids(client, ended["output_file_id"]) == [str(number) for number in range(LINES) if number != 7]
        assert custom_ids(client, ended["error_file_id"]) == ["7"]


def test_a_batch_that_was_encrypted_with_a_lost_key_ends_line_by_line_and_delays_no_other(
    moderator, empty_url: str, serve
) -> None:
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    own = moderator.settings.model_copy(update={"database_url": empty_url, "prompt_storage": Storage.ENCRYPTED})
    lost, present = (own.model_copy(update={"prompt_key": SecretStr(key)}) for key in keys)
    request = {"method": "POST", "url": "/v1/moderations", "body": {"input": "a tree"}}
    with Store(lost) as store:
        lines = [Line(number, json.dumps({**request, "custom_id": str(number)})) for number in (1, 2, 3)]
        file = store.files.add("", "prompts.jsonl", lines)
        unreadable = store.batches.create("", file, "/v1/moderations", None).id
    for url in serve(create_app(moderator.with_settings(present))):
        with connect(url) as client:
            readable = create_batch(client, 8)
            ended = wait_until(client, unreadable, lambda seen: seen["status"] == "completed")
            assert ended["request_counts"] == {"total": 3, "completed": 0, "failed": 3}
            content = client.get(f"/v1/files/{ended['error_file_id']}/content").text
            assert {json.loads(line)["error"]["code"] for line in content.splitlines()} == {"input_unreadable"}
            wait_until(client, readable, lambda seen: seen["status"] == "completed")
