"""A base policy and a child of it, as text that a test changes and writes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.policy.files import load_policies
from agent.policy.model import Policy
from agent.settings import Settings

BASE = """\
locale: base
extends: null
title: Everywhere
version: 2026-01-01
detector: nearest
severities:
  low: {action: rewrite, wxi: 0.5, tau_gc: 0.3}
  medium: {action: rewrite, wxi: 0.75, tau_gc: 0.2}
  high: {action: rewrite, wxi: 0.95, tau_gc: 0.1}
  critical: {action: block}
message:
  rewrite: {en: Changed.}
  block: {en: Blocked.}
rules:
  - id: a.rule
    category: hate
    severity: high
    definition: What it forbids.
    message: {en: No.}
    sources: [a law]
"""
CHILD = """\
locale: de-DE
extends: base
title: Deutschland
version: 2026-01-02
rules:
  - id: a.rule
    severity: low
"""


@pytest.fixture(scope="session")
def base() -> str:
    return BASE


@pytest.fixture(scope="session")
def child() -> str:
    return CHILD


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Writes policy files by name, such as `de-DE` or `concepts/shared`, and returns their folder."""

    def write_files(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write_files


@pytest.fixture(scope="session")
def shipped() -> dict[str, Policy]:
    """The policies that ship."""
    return load_policies(Settings().policies_dir)
