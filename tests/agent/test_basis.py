"""The locale, policy and detector of a request, for each kind of terms."""

import pytest

from agent.basis import NotAllowedError, place_for
from agent.policy.files import load_policies
from agent.policy.lookup import UnknownLocaleError
from agent.settings import Settings
from agent.store.tenants import ADMIN, ANYONE, Scope, Tenant, Terms
from propriety.verdict import Detector


@pytest.fixture(scope="module")
def policies():
    return load_policies(Settings().policies_dir)


def tenant(**terms):
    return Tenant("acme", Terms(scopes=[Scope.MODERATE], **terms))


@pytest.mark.parametrize(
    ("who", "locale", "expected"),
    [
        (ANYONE, None, ("en-US", "en-US")),
        (ANYONE, "DE-at", ("de-AT", "base")),
        (tenant(default_locale="de-DE"), None, ("de-DE", "de-DE")),
        (tenant(audience="children"), "de-DE", ("de-DE-x-children", "de-DE-x-children")),
        (tenant(audience="children"), "de-DE-x-children", ("de-DE-x-children", "de-DE-x-children")),
        (tenant(locales=["de"]), "de-DE", ("de-DE", "de-DE")),
    ],
)
def test_the_locale_and_policy_come_from_the_terms_the_request_and_the_settings(policies, who, locale, expected):
    place = place_for(who, locale, None, policies, Settings(default_locale="en-US"))
    assert (place.locale, place.policy.locale) == expected


@pytest.mark.parametrize(
    ("who", "locale", "detector", "code"),
    [
        (tenant(locales=["de"]), "fr-FR", None, "locale_not_allowed"),
        (tenant(locales=["de-AT"]), "de-DE", None, "locale_not_allowed"),
        (tenant(audience="teens"), "de-DE-x-children", None, "audience_not_allowed"),
        (tenant(), "de-DE", Detector.NEAREST, "detector_not_allowed"),
        (tenant(detector=Detector.LLM), "de-DE", Detector.CASCADE, "detector_not_allowed"),
    ],
)
def test_a_request_cannot_loosen_a_tenant_s_terms(policies, who, locale, detector, code):
    with pytest.raises(NotAllowedError) as refused:
        place_for(who, locale, detector, policies, Settings())
    assert refused.value.code == code


@pytest.mark.parametrize("locale", ["", "xx-XX-wrong!", "zz", "de-DE-x-nobody"])
def test_an_unknown_locale_is_refused_for_every_tenant(policies, locale):
    for who in (ANYONE, tenant()):
        with pytest.raises(UnknownLocaleError):
            place_for(who, locale, None, policies, Settings())


@pytest.mark.parametrize(
    ("who", "wanted", "setting", "expected"),
    [
        (ANYONE, None, None, "policy"),
        (ANYONE, None, Detector.NEAREST, Detector.NEAREST),
        (ANYONE, Detector.LLM, Detector.NEAREST, Detector.LLM),
        (ADMIN, Detector.LLM, Detector.NEAREST, Detector.LLM),
        (tenant(), None, Detector.NEAREST, Detector.NEAREST),
        (tenant(detector=Detector.LLM), None, Detector.NEAREST, Detector.LLM),
        (tenant(detector=Detector.LLM), Detector.LLM, None, Detector.LLM),
    ],
)
def test_the_detector_comes_from_the_terms_then_the_settings_then_the_policy(policies, who, wanted, setting, expected):
    place = place_for(who, "de-DE", wanted, policies, Settings(detector=setting))
    assert place.detector is (place.policy.detector if expected == "policy" else expected)
