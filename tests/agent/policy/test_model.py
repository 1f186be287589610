"""Severities hold in every policy, and a hash says whether two policies decide alike."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.policy.files import load_policies
from agent.policy.model import Level, Severities


def test_a_higher_severity_never_has_a_milder_action() -> None:
    block, allow = {"action": "block"}, {"action": "allow"}
    with pytest.raises(ValidationError, match="never grow milder"):
        Severities.model_validate({"low": block, "medium": block, "high": allow, "critical": block})


def test_the_hash_changes_with_a_rule_and_not_with_a_test(write: Callable[[dict[str, str]], Path], base: str) -> None:
    before = load_policies(write({"base": base}))["base"].hash
    tested = load_policies(write({"base": base + "tests:\n  - {prompt: p, expect: {action: allow}}\n"}))["base"]
    changed = load_policies(write({"base": base.replace("forbids", "bans")}))["base"]
    assert tested.hash == before != changed.hash


@pytest.mark.parametrize(
    ("wxi", "tau_gc", "loads"), [(0, 0.5, False), (0.0, 0, False), (0.01, 0.5, True), (1, 0, True), (None, 0.5, False)]
)
def test_a_severity_that_rewrites_gives_the_safe_prompt_some_weight(wxi, tau_gc, loads) -> None:
    level = {"action": "rewrite", "wxi": wxi, "tau_gc": tau_gc}
    if loads:
        assert Level.model_validate(level).wxi == wxi
    else:
        with pytest.raises(ValidationError, match="wxi"):
            Level.model_validate(level)
