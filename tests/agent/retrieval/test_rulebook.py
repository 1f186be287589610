"""An index is built once, and not in the event loop."""

import asyncio
import threading
from pathlib import Path

import pytest

from agent.retrieval import rulebook as module
from agent.retrieval.encoder import EMBEDDED, Vectors, load_encoder
from agent.retrieval.rulebook import Rulebook

POLICIES = Path(__file__).parents[2] / "small_policies"


@pytest.fixture
def book(tmp_path: Path) -> Rulebook:
    return Rulebook(POLICIES, tmp_path, load_encoder(EMBEDDED))


def test_requests_that_wait_for_an_index_share_it_and_do_not_block_others(
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


def test_a_second_start_reads_the_vectors_and_encodes_no_concept(tmp_path: Path) -> None:
    class Recording:
        name = EMBEDDED
        texts = list[str]()

        def encode(self, texts: list[str]) -> Vectors:
            self.texts += texts
            return load_encoder(EMBEDDED).encode(texts)

    encoder = Recording()
    Rulebook(POLICIES, tmp_path, encoder)
    concepts = len(set(encoder.texts))
    encoder.texts.clear()
    book = Rulebook(POLICIES, tmp_path, encoder)
    asyncio.run(book.under(book.policies["ar-SA"]))
    assert len(encoder.texts) <= 2 < concepts  # to recognise the encoder, and for the length of its vectors


def test_each_policy_has_its_own_edition(book: Rulebook) -> None:
    async def editions() -> list[str]:
        return [(await book.under(policy)).edition for policy in book.policies.values()]

    found = asyncio.run(editions())
    assert len(set(found)) == len(found)
