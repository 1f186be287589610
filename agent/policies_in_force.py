"""The policies in force: read from their folder, resolved for a request, and reloaded while they are served."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from threading import Lock

from agent.basis import Basis, own_detector, place_for
from agent.metrics import POLICIES_BROKEN, POLICIES_READ_AT
from agent.policy.model import Policy
from agent.policy.source import PolicyError
from agent.retrieval.encoder import Encoder
from agent.retrieval.rulebook import Rulebook, stamp
from agent.settings import Settings
from agent.store.tenants import ANYONE, Tenant
from propriety.verdict import Detector

log = logging.getLogger("propriety")


class PoliciesInForce(Mapping[str, Policy]):
    """Policies by locale, and how a request is judged under them. May be used from several threads.

    seen: the `stamp` of the files when they were last read.
    problem: what was wrong with them then; None if nothing was.
    """

    def __init__(self, settings: Settings, encoder: Encoder, instead: dict[str, Policy] | None = None) -> None:
        """Read the settings' folder; `instead` are other policies, to try them.

        Raises:
            PolicyError: a file is wrong; with file, line and what was expected.
        """
        self._settings, self._encoder = settings, encoder
        self.seen = stamp(settings.policies_dir)
        self._book = Rulebook(settings.policies_dir, settings.data_dir, encoder, instead)
        self.problem: str | None = None
        POLICIES_READ_AT.set_to_current_time()
        self._reloading = Lock()

    def __getitem__(self, locale: str) -> Policy:
        return self._book.policies[locale]

    def __iter__(self) -> Iterator[str]:
        return iter(self._book.policies)

    def __len__(self) -> int:
        return len(self._book.policies)

    async def resolve(
        self, locale: str | None = None, detector: Detector | None = None, tenant: Tenant = ANYONE
    ) -> Basis:
        """What a request is judged by.

        Raises:
            UnknownLocaleError, NotAllowedError: as `place_for`.
        """
        book = self._book
        place = place_for(tenant, locale, detector, book.policies, self._settings)
        indexed = await book.under(place.policy)
        return Basis(place.locale, place.policy, place.detector, indexed.index, indexed.edition, tenant.name)

    async def basis_under(self, policy: Policy, detector: Detector | None = None) -> Basis:
        """The basis for reading prompts under any policy, in force or not, without anybody's reviews."""
        indexed = await self._book.under(policy)
        chosen = detector or own_detector(policy, self._settings)
        return Basis(policy.tag, policy, chosen, indexed.index, indexed.edition, None)

    def reload(self) -> None:
        """Read the files again. New requests use the result; requests that have begun finish under the previous one.

        Raises:
            PolicyError: a file is wrong. The previous policies stay in force, and `problem` says why.
        """
        with self._reloading:
            self.seen = stamp(self._settings.policies_dir)
            try:
                self._book = Rulebook(self._settings.policies_dir, self._settings.data_dir, self._encoder)
            except PolicyError as error:
                self.problem = str(error)
                POLICIES_BROKEN.set(1)
                log.error("the previous policies stay in force, because a file is wrong: %s", error)
                raise
            self.problem = None
            POLICIES_BROKEN.set(0)
            POLICIES_READ_AT.set_to_current_time()
        log.info("policies reloaded: %d of them", len(self))
