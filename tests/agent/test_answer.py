"""The verdict that follows from a reading and a decision."""

import pytest

from agent.answer import Outcome, answer, undetected
from agent.decide import decide
from agent.judge.detect import Reading
from agent.policy.files import load_policies
from agent.settings import Settings
from propriety.verdict import Action, Severity, Status, Violation


@pytest.fixture(scope="module")
def policy():
    return load_policies(Settings().policies_dir)["ar-SA"]


def violation_of(policy, severity):
    rule = next(rule for rule in policy.rules if rule.severity is severity)
    return Violation(
        rule_id=rule.id, category=rule.category, severity=severity, confidence=0.9, rationale=rule.definition
    )


def verdict(policy, violations, safe_prompt):
    reading = Reading(violations, 0.9 if violations else 0.1)
    decision = decide(violations, policy)
    outcome = Outcome(reading, decision if safe_prompt else decision.blocked(), safe_prompt, 0.9)
    return answer(outcome, "a prompt", "ar-SA", policy, "e5", {})


def test_an_allowed_prompt_has_no_message_and_is_drawn_unchanged(policy):
    allowed = verdict(policy, [], "a prompt")
    assert (allowed.action, allowed.flagged, allowed.message, allowed.wxi) == (Action.ALLOW, False, None, 0.0)


def test_the_message_is_in_the_locale_s_language_and_names_the_gravest_rule(policy):
    violations = [violation_of(policy, Severity.MEDIUM), violation_of(policy, Severity.HIGH)]
    rewritten = verdict(policy, violations, "a safe prompt")
    assert rewritten.action is Action.REWRITE
    assert policy.say(policy.message.rewrite) in rewritten.message
    assert policy.say(policy.rules_by_id[violations[1].rule_id].message) in rewritten.message


def test_a_rewrite_that_fails_becomes_a_block_without_knobs(policy):
    blocked = verdict(policy, [violation_of(policy, Severity.MEDIUM)], None)
    assert (blocked.action, blocked.wxi, blocked.tau_gc, blocked.stronger) == (Action.BLOCK, None, None, [])
    assert policy.say(policy.message.block) in blocked.message


def test_the_verdict_says_which_text_of_the_policy_decided(policy):
    ref = verdict(policy, [], "a prompt").policy
    assert (ref.locale, ref.version, ref.hash) == (policy.locale, policy.version.isoformat(), policy.hash)


@pytest.mark.parametrize(("fail_open", "action"), [(False, Action.BLOCK), (True, Action.ALLOW)])
def test_without_any_detector_nothing_passes_unless_fail_open_is_set(policy, fail_open, action):
    decided = answer(undetected("a prompt", fail_open), "a prompt", "ar-SA", policy, "e5", {})
    assert (decided.status, decided.action, decided.score) == (Status.ERROR, action, 1.0)
