"""Flips are judged under a policy without the rule that they break."""

from agent.policy.files import load_policies
from agent.settings import Settings
from evaluation.judgement import without_rule


def test_a_policy_without_a_rule_differs_in_that_rule_and_its_hash(small_settings: Settings) -> None:
    policy = load_policies(small_settings.policies_dir)["ar-SA"]
    without = without_rule(policy, "alcohol")
    assert without.hash != policy.hash
    assert set(policy.rules_by_id) - set(without.rules_by_id) == {"alcohol"}
