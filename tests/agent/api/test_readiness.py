"""A service that is busy encoding is still ready."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from agent.retrieval.index import ConceptIndex

SEARCH_S, PROMPTS = 0.2, 32


def test_a_healthy_database_is_ready_while_a_long_list_is_encoded(real_url, monkeypatch):
    search, begun = ConceptIndex.search, threading.Event()

    def slow(self, prompt):
        begun.set()
        time.sleep(SEARCH_S)
        return search(self, prompt)

    monkeypatch.setattr(ConceptIndex, "search", slow)
    body = {"input": [f"a tree on hill {number}" for number in range(PROMPTS)], "model": "propriety-nearest"}
    with ThreadPoolExecutor(1) as callers:
        busy = callers.submit(httpx.post, f"{real_url}/v1/moderations", json=body, timeout=120)
        assert begun.wait(10)
        while not busy.done():
            ready = httpx.get(f"{real_url}/readyz", timeout=10)
            assert (ready.status_code, ready.json()["parts"]["database"]) == (200, "ok")
            assert ready.elapsed.total_seconds() < 5
            time.sleep(0.3)
        assert len(busy.result().json()["results"]) == PROMPTS
