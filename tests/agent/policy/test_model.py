"""What no policy file may weaken."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.policy.files import load_policies
from agent.policy.model import Severities
from agent.policy.source import PolicyError

BASE = """\
locale: base
extends: null
title: Everywhere
version: 2026-01-01
detector: nearest
severities:
  low: {action: rewrite, wxi: 0.5, tau_gc: 0.3}
  medium: {action: rewrite, wxi: 0.75, tau_gc: 0.2}
  high: {action: block}
  critical: {action: block}
message: {rewrite: {en: Changed.}, block: {en: Blocked.}}
rules:
  - {id: minors, category: child_sexual_exploitation, severity: critical, definition: d, message: {en: m}, sources: [s]}
  - {id: other, category: hate, severity: low, definition: d, message: {en: m}, sources: [s]}
"""
CHILD = "locale: de-DE\nextends: base\ntitle: Deutschland\nversion: 2026-01-02\nrules:\n"


@pytest.mark.parametrize(
    "weaker",
    [
        "disabled: not an offence in this place",
        "category: hate, severity: low",
        "definition: other",
        "only_with: [hate]",
    ],
)
def test_a_rule_that_protects_minors_is_neither_switched_off_nor_narrowed(tmp_path: Path, weaker: str) -> None:
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "de-DE.yaml").write_text(CHILD + f"  - {{id: minors, {weaker}}}\n", encoding="utf-8")
    with pytest.raises(PolicyError, match="protects minors") as refusal:
        load_policies(tmp_path)
    assert (refusal.value.path.name, refusal.value.line) == ("de-DE.yaml", 6)


def test_a_graver_level_is_never_milder_than_a_lesser_one() -> None:
    block, allow = {"action": "block"}, {"action": "allow"}
    with pytest.raises(ValidationError, match="never grow milder"):
        Severities.model_validate({"low": block, "medium": block, "high": allow, "critical": block})
