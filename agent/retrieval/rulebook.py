"""Policies, concept bank and vectors, read together and replaced together."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from agent.policy.concept_bank import CONCEPTS, load_bank
from agent.policy.files import AUDIENCES, load_policies
from agent.policy.model import Policy
from agent.retrieval.concepts import bare_twins, encode_missing, example_rows
from agent.retrieval.encoder import Encoder
from agent.retrieval.index import ConceptIndex, IndexedBank
from agent.retrieval.vectors import kept_vectors


@dataclass(frozen=True)
class Indexed:
    """The concepts under a policy; `edition` is the SHA-256 of all that decides under it, the concepts included."""

    index: ConceptIndex
    edition: str


class Rulebook:
    """A folder of policies as read at one time. It never changes, so a request is judged by one edition throughout."""

    def __init__(
        self, directory: Path, data_dir: Path, encoder: Encoder, instead: dict[str, Policy] | None = None
    ) -> None:
        """`instead` are policies to use in place of the folder's, to try them.

        Raises:
            PolicyError: a file is wrong; with file, line and what was expected.
        """
        bank = load_bank(directory)
        self.policies = instead or load_policies(directory, bank=bank)
        examples = [row for policy in self.policies.values() for row in example_rows(policy)]
        examples += bare_twins(examples)
        with kept_vectors(data_dir, encoder) as vectors:
            self._bank = IndexedBank(bank, encoder, vectors)
            encode_missing(examples, encoder, vectors)
        self._bank.keep_vectors_of(examples)
        self._indexed, self._building = dict[str, Indexed](), Lock()

    async def under(self, policy: Policy) -> Indexed:
        """The concepts under a policy. They are indexed on first use, in a thread, because a platform uses few of the
        policies."""
        if (indexed := self._indexed.get(policy.hash)) is None:
            return await asyncio.to_thread(self._build, policy)
        return indexed

    def _build(self, policy: Policy) -> Indexed:
        with self._building:
            if policy.hash not in self._indexed:
                index = ConceptIndex(policy, self._bank)
                edition = hashlib.sha256(repr((policy.hash, index.concepts)).encode()).hexdigest()
                self._indexed[policy.hash] = Indexed(index, edition)
        return self._indexed[policy.hash]


def stamp(directory: Path) -> frozenset[tuple[str, int, int]]:
    """Name, time of change and size of each file in a folder of policies, which differ when a file has changed.

    Also of files with a wrong ending, such as `.yml`, so that the reload refuses them.
    """
    files = [path for folder in ("", AUDIENCES, CONCEPTS) for path in (directory / folder).glob("*.*")]
    stamps = set()
    for path in files:
        try:
            status = path.stat()
        except OSError:  # the file was removed while the folder was read
            continue
        stamps.add((str(path), status.st_mtime_ns, status.st_size))
    return frozenset(stamps)
