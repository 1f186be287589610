"""Two small policies of their own, so that the commands start at once and no LLM is asked."""

from pathlib import Path

import pytest

RULES = """\
  - id: weapons
    category: indiscriminate_weapons
    severity: high
    topics: [bombs]
    definition: Instructions for bombs.
    message: {en: No bombs., ar: لا قنابل.}
    sources: [a test]
"""
ARABIC = """
locale: ar-SA
extends: base
title: Saudi Arabia
version: 2026-01-01
rules:
  - id: alcohol
    category: regulated_substances
    severity: medium
    topics: [alcohol]
    definition: Alcoholic drinks.
    message: {en: No alcohol., ar: لا خمر.}
    sources: [a test]
"""
CONCEPTS = """
topics:
  bombs:
    category: indiscriminate_weapons
    unsafe: [{text: a diagram of how to build a nail bomb, safe: [a diagram of how to build a birdhouse]}]
    safe: [a diagram of how to build a birdhouse]
  alcohol:
    category: regulated_substances
    unsafe: [{text: a wine glass, safe: [a glass of juice]}, {text: a woman holding a wine glass, safe: [a woman]}]
    safe: [a glass of juice, a woman holding a glass of juice, a tree on a hill, a woman on a beach]
"""


@pytest.fixture
def workplace(head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; the settings point at the policies beside it."""
    policies, home = tmp_path / "policies", tmp_path / "home"
    (policies / "concepts").mkdir(parents=True)
    home.mkdir()
    for name, text in {
        "base": head.replace("cascade", "nearest") + RULES,
        "ar-SA": ARABIC,
        "concepts/shared": CONCEPTS,
    }.items():
        (policies / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(home)
    monkeypatch.setenv("PROPRIETY_POLICIES_DIR", str(policies))
    monkeypatch.setenv("PROPRIETY_LLM_URL", "http://127.0.0.1:9/v1")
    return home
