"""Lint finds what is unsound in policies that load."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.authoring.lint import Finding, lint_by_reading, lint_texts
from agent.judge.errors import LLMUnavailableError
from agent.moderator import Moderator
from agent.policy.concept_bank import load_bank
from agent.policy.files import load_policies

TESTS = {
    "base": "a nail bomb on a table, expect: {action: block, rule: weapons}",
    "ar-SA": "a man with a wine glass, expect: {action: rewrite, rule: alcohol}",
}


@pytest.fixture
def sound(folder: Path) -> Path:
    for name, test in TESTS.items():
        with (folder / f"{name}.yaml").open("a", encoding="utf-8") as file:
            file.write(f"tests:\n  - {{prompt: {test}}}\n")
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def findings_in(folder: Path, locale: str) -> list[Finding]:
    policies = load_policies(folder)
    return lint_texts(policies[locale], policies, load_bank(folder))


def test_sound_policies_have_no_findings(sound: Path) -> None:
    assert findings_in(sound, "base") == findings_in(sound, "ar-SA") == []


def test_a_rule_that_protects_minors_needs_no_test(sound: Path) -> None:
    rule = "id: minors, category: child_sexual_exploitation, severity: critical, definition: d, sources: [s]"
    edit(sound / "base.yaml", "rules:\n", f"rules:\n  - {{{rule}, message: {{en: m, ar: m}}}}\n")
    assert findings_in(sound, "base") == []


@pytest.mark.parametrize(
    ("old", "new", "where", "problem"),
    [
        ("rule: alcohol", "rule: weapons", "alcohol", "no test expects this rule"),
        ("a man with a wine glass", "A wine glass", "tests", "'A wine glass' is also in the concept bank"),
        ("No alcohol., ar: لا خمر.", "No alcohol.", "alcohol", "no message in the place's language; add 'ar'"),
        (
            "topics: [alcohol]",
            "topics: [alcohol]\n    examples: {allowed: [a wine glass]}",
            "alcohol",
            "'a wine glass' is both safe and unsafe",
        ),
    ],
    ids=["no test", "looked up", "no translation", "both sides"],
)
def test_an_unsound_text_is_one_finding(sound: Path, old: str, new: str, where: str, problem: str) -> None:
    edit(sound / "ar-SA.yaml", old, new)
    (finding,) = findings_in(sound, "ar-SA")
    assert (finding.locale, finding.where) == ("ar-SA", where)
    assert problem in finding.problem


@pytest.mark.parametrize(
    ("knobs", "weak"),
    [
        ("wxi: 0.1, tau_gc: 0.2", True), ("wxi: 0.25, tau_gc: 0.8", True), ("wxi: 0.5, tau_gc: 0.6", True),
        ("wxi: 0.25, tau_gc: 0.5", False), ("wxi: 0.75, tau_gc: 0.8", False), ("wxi: 1, tau_gc: 1", False),
    ],
)  # fmt: skip
def test_a_severity_that_may_draw_the_offence_is_found(sound: Path, knobs: str, weak: bool) -> None:
    edit(sound / "base.yaml", "wxi: 0.8, tau_gc: 0.2", knobs)
    findings = findings_in(sound, "base")
    assert [finding.where for finding in findings] == ["severities.medium"] * weak


def test_a_safe_concept_that_breaks_a_rule_is_found(
    sound: Path, open_over: Callable[[Path], Moderator], loop: asyncio.Runner
) -> None:
    safe_concepts = "topics: [alcohol]\n    safe_concepts: [a glass of juice, a big wine glass]"
    edit(sound / "ar-SA.yaml", "topics: [alcohol]", safe_concepts)
    moderator, counted = open_over(sound), []
    policies = [moderator.policies["base"], moderator.policies["ar-SA"]]
    (finding,) = loop.run(lint_by_reading(moderator, policies, done=lambda: counted.append(1)))
    assert (finding.locale, finding.where) == ("ar-SA", "alcohol")
    assert "'a big wine glass' breaks alcohol" in finding.problem
    assert len(counted) == 2


def test_examples_cannot_be_checked_without_an_llm(
    sound: Path, open_over: Callable[[Path], Moderator], loop: asyncio.Runner
) -> None:
    edit(sound / "ar-SA.yaml", "topics: [alcohol]", "topics: [alcohol]\n    examples: {violating: [a beer]}")
    moderator = open_over(sound)
    with pytest.raises(LLMUnavailableError):
        loop.run(lint_by_reading(moderator, [moderator.policies["ar-SA"]], ask_llm=True))
