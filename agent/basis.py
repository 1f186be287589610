"""What a request is judged by: place, policy, concepts and detector, resolved once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from agent.policy.audience import with_audience
from agent.policy.lookup import lookup
from agent.policy.model import Policy
from agent.retrieval.index import ConceptIndex
from agent.settings import Settings
from agent.store.tenants import ANYONE, Scope, Tenant
from propriety.verdict import Detector


@dataclass(frozen=True)
class Basis:
    """Resolved for each request by `PoliciesInForce.resolve`; nothing is looked up again later.

    locale: canonical BCP-47 tag of the place.
    edition: SHA-256 of everything that decides under the policy: its own text and the concepts.
    tenant: whose reviews are followed; None for nobody's.
    """

    locale: str
    policy: Policy
    detector: Detector
    index: ConceptIndex
    edition: str
    tenant: str | None


class NotAllowedError(PermissionError):
    """The tenant's terms do not allow this `param`; `code` is the reason, for programs."""

    def __init__(self, message: str, code: str, param: str) -> None:
        super().__init__(message)
        self.code, self.param = code, param


class Place(NamedTuple):
    """The canonical tag of a locale, the policy that holds there, and the detector to use."""

    locale: str
    policy: Policy
    detector: Detector


def place_for(
    tenant: Tenant, locale: str | None, detector: Detector | None, policies: Mapping[str, Policy], settings: Settings
) -> Place:
    """The place for a tenant's request. Its terms come first; no request can loosen them.

    Raises:
        UnknownLocaleError: the locale is malformed or unregistered, or has an unknown audience.
        NotAllowedError: the tenant's terms exclude the locale, the audience or the detector. A caller without a key
            and an operator may choose any detector.
    """
    terms = tenant.terms
    if locale is None:
        locale = terms.default_locale or settings.default_locale
    tag, policy = lookup(policies, locale)
    if terms.audience and policy.audience != terms.audience:
        if policy.audience:
            message = f"pictures are for the audience {terms.audience!r} here, not {policy.audience!r}"
            raise NotAllowedError(message, "audience_not_allowed", "locale")
        tag, policy = lookup(policies, with_audience(tag, terms.audience))
    if terms.locales is not None and not any(_within(tag, language_range) for language_range in terms.locales):
        message = f"{tag!r} is not one of this key's locales, which are {', '.join(terms.locales)}"
        raise NotAllowedError(message, "locale_not_allowed", "locale")
    own = terms.detector or own_detector(policy, settings)
    free = tenant is ANYONE or Scope.ADMIN in terms.scopes
    if detector not in (None, own) and not free:
        message = f"the detector is {own.value!r} here; use the model 'propriety'"
        raise NotAllowedError(message, "detector_not_allowed", "model")
    return Place(tag, policy, detector or own)


def own_detector(policy: Policy, settings: Settings) -> Detector:
    """The detector of a policy, unless the settings override it."""
    return settings.detector or policy.detector


def _within(tag: str, language_range: str) -> bool:
    """RFC 4647, section 3.3.1: the range `de` includes `de-AT`."""
    return f"{tag.lower()}-".startswith(f"{language_range.lower()}-")
