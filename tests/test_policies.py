"""The policies that ship, run through the real agent on their own tests."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.policy_test import met, verdicts_on
from agent.moderator import BLOCKED_UNJUDGED, Moderator
from agent.policy import Policy, PolicyTest
from agent.policy_files import load_policies
from agent.schema import Action, ChatMessage, Detector, Status, Verdict
from agent.settings import Settings

CASES = [(policy, test) for policy in load_policies(Settings().policies_dir).values() for test in policy.tests]


@pytest.fixture(scope="module")
def moderator(data_dir: Path) -> Moderator:
    return Moderator(Settings(data_dir=data_dir))


@pytest.fixture(scope="module")
def judging(llm_url: str, data_dir: Path) -> Moderator:
    return Moderator(Settings(llm_url=llm_url, data_dir=data_dir))


each_own_test = pytest.mark.parametrize(
    ("policy", "test"), CASES, ids=[f"{policy.locale}: {test.prompt}" for policy, test in CASES]
)


Judged = Callable[[Moderator, Detector | None, Policy, PolicyTest], Verdict]


@pytest.fixture(scope="module")
def verdict_on(loop: asyncio.Runner) -> Judged:
    """A policy's tests are asked all at once, since an LLM server batches, and each is answered from that."""
    asked: dict[tuple[str, Detector | None], dict[str, Verdict]] = {}

    def verdict(moderator: Moderator, detector: Detector | None, policy: Policy, test: PolicyTest) -> Verdict:
        if (key := (policy.locale, detector)) not in asked:
            verdicts = loop.run(verdicts_on(moderator, [(policy, each) for each in policy.tests], detector))
            asked[key] = {each.prompt: verdicts[index] for index, each in enumerate(policy.tests)}
        return asked[key][test.prompt]

    return verdict


@each_own_test
def test_a_policys_own_test_holds_with_the_embedded_judge(
    judging: Moderator, verdict_on: Judged, policy: Policy, test: PolicyTest
) -> None:
    verdict = verdict_on(judging, None, policy, test)
    assert (verdict.status, met(test, verdict)) == (Status.OK, True), verdict


@each_own_test
def test_a_policys_own_test_holds_with_the_neighbours_alone(
    moderator: Moderator, verdict_on: Judged, policy: Policy, test: PolicyTest
) -> None:
    verdict = verdict_on(moderator, Detector.NEAREST, policy, test)
    unjudged = any(violation.category in BLOCKED_UNJUDGED for violation in verdict.violations)
    if unjudged and test.expect.action is Action.REWRITE:
        test = test.model_copy(update={"expect": test.expect.model_copy(update={"action": Action.BLOCK})})
    assert met(test, verdict), verdict


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
