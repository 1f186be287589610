"""A thousand requests of twenty tenants at once: each is answered what it asked, and nobody reads another's."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms
from propriety.verdict import Detector

TENANTS, EACH, ITS_OWN = 20, 50, 20
LOCALES = "ar-SA", "de-DE"


def test_no_answer_of_twenty_tenants_at_once_crosses_over(serve: Any, tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/propriety.db")
    keys, locales = dict[str, str](), dict[str, str]()
    for number in range(TENANTS):
        name = f"tenant-{number}"
        locales[name] = LOCALES[number % len(LOCALES)]
        terms = Terms(
            scopes=[Scope.MODERATE], locales=[locales[name]], default_locale=locales[name], detector=Detector.NEAREST,
            per_minute=None, concurrent=None,
        )  # fmt: skip
        keys[name] = Tenants(database).create(name, terms)
    database.dispose()

    async def ask(client: httpx.AsyncClient, name: str, number: int) -> str:
        own = number < ITS_OWN  # what is asked by others too comes from the cache
        prompt, mine = f"tree {name}-{number}" if own else "tree", {"X-Request-ID": f"{name}.{number}"}
        if number % 2:
            body: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]}
            answer = await client.post("/v1/chat/completions", json=body, headers=mine)
            decision = answer.json()["verdict"]
        else:
            answer = await client.post("/v1/moderations", json={"input": prompt}, headers=mine)
            decision = answer.json()["results"][0]["decision"]
        assert answer.headers["x-request-id"] == mine["X-Request-ID"]
        assert (decision["prompt"], decision["locale"]) == (prompt, locales[name])
        return str(decision["id"])

    async def all_at_once(url: str) -> None:
        async with AsyncExitStack() as opened:
            clients = {
                name: await opened.enter_async_context(
                    httpx.AsyncClient(
                        base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=300, trust_env=False
                    )
                )
                for name, key in keys.items()
            }
            asked = [(name, number) for number in range(EACH) for name in keys]
            told = await asyncio.gather(*(ask(clients[name], name, number) for name, number in asked))
            assert len(set(told)) == TENANTS * EACH
            for (name, _), (other, _), verdict in zip(asked, asked[1 : 2 * TENANTS], told, strict=False):
                for who, status in ((name, 200), (other, 404)):
                    assert (await clients[who].get(f"/v1/verdicts/{verdict}")).status_code == status

    with serve(tmp_path, cache_size=100) as api:
        asyncio.run(all_at_once(api.url))
