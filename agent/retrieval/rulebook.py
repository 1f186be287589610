"""What is judged by, read together and exchanged as a whole: the policies, the concept bank and its vectors."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from agent.policy.concept_bank import CONCEPTS, load_bank
from agent.policy.files import AUDIENCES, load_policies
from agent.policy.model import Policy
from agent.retrieval.concepts import concepts_under, encode_missing
from agent.retrieval.encoder import Encoder
from agent.retrieval.index import ConceptIndex, IndexedBank
from agent.retrieval.vectors import kept_vectors


@dataclass(frozen=True)
class Indexed:
    """The concepts under a policy, and the SHA-256 of all that decides under it: its own, and the concepts'."""

    index: ConceptIndex
    edition: str


class Rulebook:
    """A reading of a folder of policies; it never changes, so whoever has begun with one ends with it."""

    def __init__(
        self, directory: Path, data_dir: Path, encoder: Encoder, instead: dict[str, Policy] | None = None
    ) -> None:
        """`instead` are other policies than the folder's, that are tried.

        Raises:
            PolicyError: a file is wrong; with file, line and what was expected.
        """
        self.policies = instead or load_policies(directory)
        bank = load_bank(directory)
        with kept_vectors(data_dir, encoder) as vectors:
            self._bank = IndexedBank(bank, encoder, vectors)
            for policy in self.policies.values():
                encode_missing(concepts_under(policy, bank), encoder, vectors)
        self._indexed, self._building = dict[str, Indexed](), Lock()

    async def under(self, policy: Policy) -> Indexed:
        """What decides under a policy. Built in a thread when first asked for, from vectors at hand: there are more
        policies than a platform uses."""
        if (found := self._indexed.get(policy.hash)) is None:
            return await asyncio.to_thread(self._build, policy)
        return found

    def _build(self, policy: Policy) -> Indexed:
        with self._building:
            if policy.hash not in self._indexed:
                index = ConceptIndex(policy, self._bank)
                edition = hashlib.sha256(repr((policy.hash, index.concepts)).encode()).hexdigest()
                self._indexed[policy.hash] = Indexed(index, edition)
        return self._indexed[policy.hash]


def stamp(directory: Path) -> frozenset[tuple[str, int, int]]:
    """Name, time of change and size of each file of a folder of policies: another stamp, another reading."""
    files = [path for folder in ("", AUDIENCES, CONCEPTS) for path in (directory / folder).glob("*.yaml")]
    seen = set()
    for path in files:
        try:
            about = path.stat()
        except OSError:  # it went while the folder was read
            continue
        seen.add((str(path), about.st_mtime_ns, about.st_size))
    return frozenset(seen)
