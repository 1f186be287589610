"""What is judged by, read together and exchanged as a whole: the policies, the concept bank and its vectors."""

from __future__ import annotations

import hashlib
from pathlib import Path

from agent.concepts import ConceptIndex, concepts_under, encode_missing, load_bank
from agent.encoder import Encoder
from agent.policy import Policy
from agent.policy_files import AUDIENCES, CONCEPTS, load_policies
from agent.vectors import kept_vectors


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
        self._bank, self._encoder = load_bank(directory), encoder
        with kept_vectors(data_dir, encoder) as self._vectors:
            for policy in self.policies.values():
                encode_missing(concepts_under(policy, self._bank), encoder, self._vectors)
        self._indexes = dict[str, tuple[ConceptIndex, str]]()

    def index(self, policy: Policy) -> ConceptIndex:
        """Built when first asked for, from vectors at hand: there are more policies than a platform uses."""
        return self._indexed(policy)[0]

    def edition(self, policy: Policy) -> str:
        """SHA-256 of all that decides under a policy: its own hash, and the concepts as they stand there."""
        return self._indexed(policy)[1]

    def _indexed(self, policy: Policy) -> tuple[ConceptIndex, str]:
        if policy.hash not in self._indexes:
            index = ConceptIndex(policy, self._bank, self._encoder, self._vectors)
            edition = hashlib.sha256(repr((policy.hash, index.concepts)).encode()).hexdigest()
            self._indexes[policy.hash] = index, edition
        return self._indexes[policy.hash]


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
