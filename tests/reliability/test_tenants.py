"""A thousand concurrent requests of twenty tenants: each gets its own response; nobody reads another's verdict."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms
from propriety.verdict import Detector

TENANTS, REQUESTS_EACH, UNIQUE_PROMPTS_EACH = 20, 50, 20
LOCALES = "ar-SA", "de-DE"


def test_responses_of_twenty_concurrent_tenants_never_mix(serve: Any, tmp_path: Path) -> None:
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
        unique = number < UNIQUE_PROMPTS_EACH  # other prompts are everybody's, and come from the cache
        prompt, headers = f"tree {name}-{number}" if unique else "tree", {"X-Request-ID": f"{name}.{number}"}
        if number % 2:
            body: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]}
            response = await client.post("/v1/chat/completions", json=body, headers=headers)
            decision = response.json()["verdict"]
        else:
            response = await client.post("/v1/moderations", json={"input": prompt}, headers=headers)
            decision = response.json()["results"][0]["decision"]
        assert response.headers["x-request-id"] == headers["X-Request-ID"]
        assert (decision["prompt"], decision["locale"]) == (prompt, locales[name])
        return str(decision["id"])

    async def ask_at_once(url: str) -> None:
        async with AsyncExitStack() as stack:
            clients = {
                name: await stack.enter_async_context(
                    httpx.AsyncClient(
                        base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=300, trust_env=False
                    )
                )
                for name, key in keys.items()
            }
            requests = [(name, number) for number in range(REQUESTS_EACH) for name in keys]
            verdicts = await asyncio.gather(*(ask(clients[name], name, number) for name, number in requests))
            assert len(set(verdicts)) == TENANTS * REQUESTS_EACH
            for (name, _), (other, _), verdict in zip(requests, requests[1 : 2 * TENANTS], verdicts, strict=False):
                for reader, status in ((name, 200), (other, 404)):
                    assert (await clients[reader].get(f"/v1/verdicts/{verdict}")).status_code == status

    with serve(tmp_path, cache_size=100) as api:
        asyncio.run(ask_at_once(api.url))
