"""The policies that ship, run through the real agent on their own tests."""

import asyncio
from pathlib import Path

import pytest

from agent.moderator import BLOCKED_UNJUDGED, Moderator
from agent.policy import BASE, Policy, PolicyTest
from agent.policy_files import load_policies
from agent.schema import Action, ChatMessage, Detector, Status, Verdict
from agent.settings import Settings

CASES = [(policy, test) for policy in load_policies(Settings().policies_dir).values() for test in policy.tests]


@pytest.fixture(scope="module")
def moderator(tmp_path_factory: pytest.TempPathFactory) -> Moderator:
    data: Path = tmp_path_factory.mktemp("data")
    return Moderator(Settings(data_dir=data))


@pytest.fixture(scope="module")
def judging(llm_url: str, tmp_path_factory: pytest.TempPathFactory) -> Moderator:
    return Moderator(Settings(llm_url=llm_url, data_dir=tmp_path_factory.mktemp("data")))


each_own_test = pytest.mark.parametrize(
    ("policy", "test"), CASES, ids=[f"{policy.locale}: {test.prompt}" for policy, test in CASES]
)


def verdict_on(loop: asyncio.Runner, moderator: Moderator, policy: Policy, prompt: str, detector: Detector) -> Verdict:
    locale = "en" if policy.locale == BASE else policy.locale
    return loop.run(moderator.moderate([ChatMessage(role="user", content=prompt)], locale, detector))


@each_own_test
def test_a_policys_own_test_holds_with_the_embedded_judge(
    loop: asyncio.Runner, judging: Moderator, policy: Policy, test: PolicyTest
) -> None:
    verdict = verdict_on(loop, judging, policy, test.prompt, policy.detector)
    assert (verdict.status, verdict.action) == (Status.OK, test.expect.action)
    assert test.expect.rule is None or test.expect.rule in {violation.rule_id for violation in verdict.violations}


@each_own_test
def test_a_policys_own_test_holds_with_the_neighbours_alone(
    loop: asyncio.Runner, moderator: Moderator, policy: Policy, test: PolicyTest
) -> None:
    verdict = verdict_on(loop, moderator, policy, test.prompt, Detector.NEAREST)
    unjudged = any(violation.category in BLOCKED_UNJUDGED for violation in verdict.violations)
    expected = Action.BLOCK if unjudged and test.expect.action is Action.REWRITE else test.expect.action
    assert verdict.action is expected
    assert test.expect.rule is None or test.expect.rule in {violation.rule_id for violation in verdict.violations}


def test_the_same_scene_is_drawn_in_one_place_and_rewritten_in_another(
    loop: asyncio.Runner, moderator: Moderator
) -> None:
    message = ChatMessage(role="user", content="a woman holding a wine glass on a beach")
    france = loop.run(moderator.moderate([message], "fr-FR", Detector.NEAREST))
    arabia = loop.run(moderator.moderate([message], "ar-SA", Detector.NEAREST))
    assert (france.action, france.safe_prompt) == (Action.ALLOW, message.content)
    assert (arabia.action, arabia.wxi, arabia.tau_gc) == (Action.REWRITE, 0.75, 0.2)
    assert arabia.safe_prompt is not None
    assert arabia.safe_prompt.startswith("a woman")
    assert "wine" not in arabia.safe_prompt
    assert "beach" in arabia.safe_prompt
