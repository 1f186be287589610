"""Every decision that was returned is in the log, even if the process is killed."""

import asyncio
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from agent.api.app import create_app
from agent.api.background import purge
from agent.open_moderator import open_moderator
from agent.settings import Settings
from agent.store.database import open_database
from agent.store.store import Store
from propriety.verdict import ChatMessage

SMALL_POLICIES = Path(__file__).parents[2] / "small_policies"

ANSWERED_FIRST = 30


@pytest.mark.slow
def test_every_answered_decision_outlives_a_kill(start, empty_url: str) -> None:
    url, process = start(empty_url)
    answered: list[str] = []

    def send_until_killed(number: int) -> None:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            while True:
                body = {"input": f"a glass of wine, number {number} {len(answered)}", "locale": "ar-SA"}
                try:
                    decision = client.post("/v1/moderations", json=body).json()["results"][0]["decision"]
                except (httpx.HTTPError, ValueError):
                    return
                answered.append(decision["id"])

    threads = [threading.Thread(target=send_until_killed, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while len(answered) < ANSWERED_FIRST:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    for thread in threads:
        thread.join()
    log = Store(Settings(database_url=empty_url)).decisions
    kept = {verdict.id for verdict in log.recent(100_000)}
    log.database.dispose()
    assert len(answered) >= ANSWERED_FIRST
    assert set(answered) <= kept


def test_a_decision_that_cannot_be_logged_is_not_returned(tmp_path: Path) -> None:
    settings = Settings(policies_dir=SMALL_POLICIES, data_dir=tmp_path, database_url=None, keyless=True)
    app = create_app(open_moderator(settings))
    database = open_database(settings.decision_log_url)
    with database.begin() as connection:
        connection.execute(text("DROP TABLE decisions"))
    database.dispose()

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/v1/moderations", json={"input": "a tree on a hill", "locale": "ar-SA"})

    answer = asyncio.run(send())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")


def test_what_is_past_its_time_is_deleted_when_the_api_starts_and_while_it_runs(
    tmp_path: Path, verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "PURGE_EVERY_S", 0.05)
    settings = Settings(
        policies_dir=SMALL_POLICIES,
        data_dir=tmp_path,
        database_url=None,
        retention_days=1e-7,
        session_ttl_s=1e-3,
    )
    app = create_app(open_moderator(settings))

    async def serve_until_deleted() -> None:
        with Store(settings) as store:
            for number in range(2):
                store.decisions.write_all([(verdict(f"verdict-{number}"), "")])
                store.conversations.add("acme", "c", [ChatMessage(role="user", content="a tree")])
                if number == 0:
                    context = app.router.lifespan_context(app)
                    await context.__aenter__()
                async with asyncio.timeout(10):
                    while store.decisions.recent(5) or _turns(store):
                        await asyncio.sleep(0.02)
            await context.__aexit__(None, None, None)

    asyncio.run(serve_until_deleted())


def _turns(store: Store) -> int:
    with store.database.connect() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM turns").scalar_one()
