"""The policies that ship, run through the real agent on their own tests."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.authoring.own_tests import cases_of, run_cases
from agent.judge.detect import NEEDS_JUDGE
from agent.moderator import Moderator
from agent.open_moderator import open_moderator
from agent.policy.files import load_policies
from agent.settings import Settings
from propriety.verdict import Action, ChatMessage, Detector, Status

pytestmark = pytest.mark.slow  # encoding the concepts of every policy takes half a minute
MIN_PASSED = 0.95
LLM_TIMEOUT_S = 600  # on two cores an LLM that has just started first reads every rule, for sixteen prompts at once
POLICIES = load_policies(Settings().policies_dir)
QUICK = ("base", "ar-SA")
ALL = [
    locale if locale in QUICK else pytest.param(locale, marks=pytest.mark.all)
    for locale, policy in POLICIES.items()
    if policy.tests
]


@pytest.fixture(scope="module")
def moderator(data_dir: Path) -> Iterator[Moderator]:
    moderator = open_moderator(Settings(data_dir=data_dir))
    with moderator.store:
        yield moderator


@pytest.mark.parametrize("locale", ALL)
def test_each_own_test_passes_with_the_embedded_judge(
    loop: asyncio.Runner, llm_url: str, data_dir: Path, locale: str
) -> None:
    moderator = open_moderator(Settings(llm_url=llm_url, data_dir=data_dir, llm_timeout_s=LLM_TIMEOUT_S))
    with moderator.store:
        results = loop.run(run_cases(moderator, cases_of([POLICIES[locale]])))
    assert {result.verdict.status for result in results} == {Status.OK}
    assert not [result.test.prompt for result in results if not result.passed]


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.all)])
def test_nearly_every_own_test_passes_without_the_judge(loop: asyncio.Runner, moderator: Moderator, step: int) -> None:
    cases = cases_of(POLICIES.values())[::step]
    results = loop.run(run_cases(moderator, cases, Detector.NEAREST))
    passed = 0
    for _, test, verdict in results:
        unjudged = any(violation.category in NEEDS_JUDGE for violation in verdict.violations)
        action = Action.BLOCK if unjudged and test.expect.action is Action.REWRITE else test.expect.action
        passed += test.expect.model_copy(update={"action": action}).met_by(verdict)
    assert passed / len(cases) >= MIN_PASSED


def test_the_same_scene_is_allowed_in_one_place_and_rewritten_in_another(
    loop: asyncio.Runner, moderator: Moderator
) -> None:
    message = ChatMessage(role="user", content="a woman holding a wine glass on a beach")
    france = loop.run(moderator.moderate([message], "fr-FR", Detector.NEAREST))
    arabia = loop.run(moderator.moderate([message], "ar-SA", Detector.NEAREST))
    assert (france.action, france.safe_prompt) == (Action.ALLOW, message.content)
    assert (arabia.action, arabia.wxi, arabia.tau_gc) == (Action.REWRITE, 0.5, 0.5)
    assert arabia.safe_prompt is not None
    assert arabia.safe_prompt.startswith("a woman")
    assert "wine" not in arabia.safe_prompt
    assert "beach" in arabia.safe_prompt
