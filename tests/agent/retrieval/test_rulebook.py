"""What is judged by is built beside the event loop, and once."""

import asyncio
import threading
from pathlib import Path

import pytest

from agent.retrieval import rulebook as module
from agent.retrieval.encoder import load_encoder
from agent.retrieval.rulebook import Rulebook

POLICIES = Path(__file__).parents[2] / "small_policies"


@pytest.fixture
def book(tmp_path: Path) -> Rulebook:
    return Rulebook(POLICIES, tmp_path, load_encoder("multilingual-e5-small"))


def test_while_an_index_is_built_others_are_served_and_those_who_wait_for_it_share_it(
    book: Rulebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, built, go = module.ConceptIndex, list[str](), threading.Event()

    def slow(policy, *others):
        assert go.wait(10)
        built.append(policy.locale)
        return build(policy, *others)

    monkeypatch.setattr(module, "ConceptIndex", slow)

    async def ask() -> None:
        policy = book.policies["ar-SA"]
        asked = [asyncio.create_task(book.under(policy)) for _ in range(4)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in asked)
        go.set()
        first, *others = await asyncio.gather(*asked)
        assert all(other is first for other in others)
        assert await book.under(policy) is first

    asyncio.run(ask())
    assert built == ["ar-SA"]


def test_places_are_told_apart_by_all_that_decides_there(book: Rulebook) -> None:
    async def editions() -> list[str]:
        return [(await book.under(policy)).edition for policy in book.policies.values()]

    found = asyncio.run(editions())
    assert len(set(found)) == len(found)
