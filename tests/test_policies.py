"""The policies that ship, run through the real agent on their own tests."""

import asyncio
from pathlib import Path

import pytest

from agent.moderator import BLOCKED_UNJUDGED, Moderator
from agent.policy.files import load_policies
from agent.settings import Settings
from cli.policy.test import verdicts_on
from propriety.verdict import Action, ChatMessage, Detector, Status

HELD = 0.95
PATIENCE_S = 600  # a cold LLM on two cores reads the rules of sixteen prompts first
CASES = [(policy, test) for policy in load_policies(Settings().policies_dir).values() for test in policy.tests]
JUDGED = ("base", "en-US", "fr-FR", "de-DE", "ar-SA", "th-TH")
"""These stand for all, since the LLM first reads each rule of each. All of them: `propriety policy test`."""


@pytest.fixture(scope="module")
def moderator(data_dir: Path) -> Moderator:
    return Moderator(Settings(data_dir=data_dir))


@pytest.mark.parametrize("locale", JUDGED)
def test_each_own_test_holds_with_the_embedded_judge(
    loop: asyncio.Runner, llm_url: str, data_dir: Path, locale: str
) -> None:
    moderator = Moderator(Settings(llm_url=llm_url, data_dir=data_dir, llm_timeout_s=PATIENCE_S))
    cases = [(policy, test) for policy, test in CASES if policy.locale == locale]
    verdicts = loop.run(verdicts_on(moderator, cases, None))
    assert {verdict.status for verdict in verdicts.values()} == {Status.OK}
    assert not [test.prompt for index, (_, test) in enumerate(cases) if not test.expect.met_by(verdicts[index])]


def test_of_every_third_own_test_few_need_the_judge(loop: asyncio.Runner, moderator: Moderator) -> None:
    some = CASES[::3]
    verdicts = loop.run(verdicts_on(moderator, some, Detector.NEAREST))
    held = 0
    for index, (_, test) in enumerate(some):
        unjudged = any(violation.category in BLOCKED_UNJUDGED for violation in verdicts[index].violations)
        action = Action.BLOCK if unjudged and test.expect.action is Action.REWRITE else test.expect.action
        held += test.expect.model_copy(update={"action": action}).met_by(verdicts[index])
    assert held / len(some) >= HELD


def test_the_same_scene_is_drawn_in_one_place_and_rewritten_in_another(
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
