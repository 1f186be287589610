"""An audience is laid over any locale, and only adds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.policy.audience import audience_of, split_audience, with_audience
from agent.policy.files import load_policies
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.policy.source import PolicyError

RULE = "category: hate, definition: d, message: {en: m}, sources: [s]"
YOUNG = f"""\
locale: young
extends: null
title: Kinder
version: 2026-01-03
rules:
  - {{id: a.rule, severity: medium}}
  - {{id: young.alcohol, severity: high, topics: [alcohol], {RULE}}}
tests:
  - {{prompt: a tree, expect: {{action: allow}}}}
"""
BANK = "topics: {alcohol: {category: null}, pork: {category: null}}\n"

Write = Callable[[str], Path]


@pytest.fixture
def with_young(write: Callable[[dict[str, str]], Path], base: str, child: str) -> Write:
    """Writes a base policy, a German one and this text as the audience `young`."""
    german = child + f"  - {{id: food, severity: low, topics: [alcohol, pork], {RULE}}}\n"
    return lambda text: write({"base": base, "de-DE": german, "audience/young": text, "concepts/shared": BANK})


@pytest.mark.parametrize(
    ("locale", "audience", "tag"), [("de-DE", "children", "de-DE-x-children"), ("de-DE", "", "de-DE")]
)
def test_an_audience_is_part_of_the_tag(locale: str, audience: str, tag: str) -> None:
    assert with_audience(locale, audience) == tag
    assert split_audience(tag) == (locale, audience)
    assert audience_of(tag) == audience


@pytest.mark.parametrize(
    ("locale", "served", "severity"),
    [
        ("de-DE", "de-DE", "low"),
        ("de-DE-x-young", "de-DE-x-young", "medium"),
        ("de-DE-x-YOUNG", "de-DE-x-young", "medium"),
        ("de-AT-x-young", "base-x-young", "high"),  # base's severity is higher, and an audience never lowers it
        ("en-x-young", "base-x-young", "high"),
    ],
)
def test_an_audience_is_laid_over_any_locale_and_only_adds(
    with_young: Write, locale: str, served: str, severity: str
) -> None:
    policy = lookup(load_policies(with_young(YOUNG)), locale)[1]
    assert (policy.locale, policy.rules_by_id["a.rule"].severity) == (served, severity)
    assert ("young.alcohol" in policy.rules_by_id) is ("young" in served)


def test_a_topic_that_an_audience_claims_is_taken_from_the_locales_rule(with_young: Write) -> None:
    policies = load_policies(with_young(YOUNG))
    assert policies["de-DE"].rules_by_id["food"].topics == ["alcohol", "pork"]
    young = policies["de-DE-x-young"]
    assert (young.rules_by_id["food"].topics, young.rules_by_id["young.alcohol"].topics) == (["pork"], ["alcohol"])
    assert (young.language, young.lineage) == ("de", ["young", "de-DE", "base"])
    assert (young.title, str(young.version)) == ("Deutschland · Kinder", "2026-01-03")


def test_an_audiences_tests_belong_to_base_and_a_locales_tests_to_the_locale_alone(with_young: Write) -> None:
    policies = load_policies(with_young(YOUNG))
    assert [len(policies[name].tests) for name in ("base-x-young", "de-DE-x-young")] == [1, 0]


def test_an_unknown_audience_is_refused_and_never_dropped(with_young: Write) -> None:
    with pytest.raises(UnknownLocaleError, match="no audience 'old', only young"):
        lookup(load_policies(with_young(YOUNG)), "de-DE-x-old")


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("extends: null", "extends: base", 2, "expected null"),
        ("{id: a.rule, severity: medium}", "{id: a.rule, disabled: not for the young at all}", 6, "cannot disable"),
        ("topics: [alcohol]", "topics: [alcohl]", 7, "'alcohl'"),
        ("{action: allow}", "{action: block, rule: old.alcohol}", 9, "a rule of this policy, not 'old.alcohol'"),
    ],
    ids=["a parent", "a disabled rule", "an unknown topic", "a test of an unknown rule"],
)
def test_a_broken_audience_is_refused_with_its_line(
    with_young: Write, old: str, new: str, line: int, expected: str
) -> None:
    assert old in YOUNG
    with pytest.raises(PolicyError, match=expected) as refusal:
        load_policies(with_young(YOUNG.replace(old, new)))
    assert (refusal.value.path.name, refusal.value.line) == ("young.yaml", line)


def test_the_name_of_an_audience_fits_a_locale_tag(write: Callable[[dict[str, str]], Path], base: str) -> None:
    folder = write({"base": base, "audience/too-young": YOUNG.replace("locale: young", "locale: too-young")})
    with pytest.raises(PolicyError, match="1 to 8 lower-case letters or digits"):
        load_policies(folder)
