"""Lookup follows RFC 4647."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.policy.files import load_policies
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.policy.model import Policy
from agent.settings import Settings


@pytest.fixture
def policies(write: Callable[[dict[str, str]], Path], base: str, child: str) -> dict[str, Policy]:
    children = {name: child.replace("de-DE", name) for name in ("de-DE", "zh-Hant", "he")}
    return load_policies(write({"base": base, **children}))


@pytest.mark.parametrize(
    ("locale", "tag", "served"),
    [
        ("de-DE", "de-DE", "de-DE"),
        ("dE-dE", "de-DE", "de-DE"),
        ("de_de", "de-DE", "de-DE"),
        ("de-Latn-DE", "de-DE", "de-DE"),  # the default script is dropped
        ("de-DE-1996", "de-DE-1996", "de-DE"),
        ("de-DE-u-co-phonebk", "de-DE-u-co-phonebk", "de-DE"),
        ("de-AT", "de-AT", "base"),
        ("de", "de", "base"),
        ("zh-Hant-TW", "zh-Hant-TW", "zh-Hant"),
        ("zh-TW", "zh-TW", "base"),
        ("zh", "zh", "base"),
        ("iw-IL", "he-IL", "he"),
        ("he-Hebr-IL", "he-IL", "he"),
        ("x-private", "x-private", "base"),
        ("i-klingon", "tlh", "base"),
        ("und", "und", "base"),
    ],
)
def test_lookup_truncates_to_the_nearest_policy(
    policies: dict[str, Policy], locale: str, tag: str, served: str
) -> None:
    canonical, policy = lookup(policies, locale)
    assert (canonical, policy.locale) == (tag, served)


@pytest.fixture(scope="module")
def shipped() -> dict[str, Policy]:
    return load_policies(Settings().policies_dir)


@pytest.mark.parametrize(
    ("locale", "served"),
    [
        ("zh-Hant-TW", "zh-TW"), ("zh-Hant", "zh-TW"), ("cmn-TW", "zh-TW"), ("cmn-Hant-TW", "zh-TW"),
        ("zh-Hant-TW-u-co-stroke", "zh-TW"), ("ar-Latn-SA", "ar-SA"), ("arb-SA", "ar-SA"), ("hi-Latn-IN", "hi-IN"),
        ("ms-Arab-MY", "ms-MY"), ("zsm-MY", "ms-MY"), ("ko-Hang-KR", "ko-KR"), ("ja-Latn-JP", "ja-JP"),
        ("th-Latn-TH", "th-TH"), ("he-Latn-IL", "he-IL"), ("ar-Latn", "ar"), ("es-Latn-MX", "es-MX"),
        ("arz-EG", "ar-EG"), ("arz", "ar"), ("ary-MA", "ar"), ("afb-SA", "ar-SA"), ("ar-arz-EG", "ar-EG"),
        ("nan-TW", "zh-TW"), ("hak-Hant-TW", "zh-TW"), ("id-MY", "ms-MY"), ("yue-Hant", "base"), ("yue-HK", "base"),
        ("zh", "base"), ("zh-Hans", "base"), ("zh-Hant-HK", "base"), ("ja-Latn", "base"), ("ko-Hang", "base"),
    ],
)  # fmt: skip
def test_a_script_or_a_member_of_a_macrolanguage_keeps_the_place_s_policy(
    shipped: dict[str, Policy], locale: str, served: str
) -> None:
    assert lookup(shipped, locale)[1].locale == served
    assert lookup(shipped, f"{locale}-x-children")[1].locale == f"{served}-x-children"


@pytest.mark.parametrize(
    "locale",
    ["", "-", "de-", "de--DE", "de-DE-u", "C", "123", "xx-YY", "a-b", "toolongsubtag", "de-DE; drop", "../base",
     "de-DE\n", "dé", "\ud800", "de-x-" + "-".join(["a" * 8] * 100_000)],
)  # fmt: skip
def test_a_malformed_or_unregistered_locale_is_refused(policies: dict[str, Policy], locale: str) -> None:
    with pytest.raises(UnknownLocaleError, match="write it like de-DE"):
        lookup(policies, locale)
