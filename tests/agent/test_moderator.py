"""The pipeline: what each step hands to the next, with the real index and without an LLM."""

import asyncio
import re
from pathlib import Path

import pytest

from agent.moderator import BadPromptError, Moderator
from agent.open_moderator import open_moderator
from agent.policy.lookup import UnknownLocaleError
from agent.settings import Settings
from evaluation.obfuscations import OBFUSCATIONS
from propriety.verdict import Action, ChatMessage, Detector, Status

WINE = "a woman holding a wine glass"


@pytest.fixture
def small(small_policies: Path, tmp_path: Path):
    """A moderator on the small policies; `small(setting=...)`."""
    opened: list[Moderator] = []

    def make(**settings):
        own = {"policies_dir": small_policies, "data_dir": tmp_path, "database_url": None}
        opened.append(open_moderator(Settings(**{**own, "llm_url": "http://127.0.0.1:9/v1", **settings})))
        return opened[-1]

    yield make
    for moderator in opened:
        moderator.store.close()


def moderate(moderator, prompt, locale="ar-SA", **how):
    return asyncio.run(moderator.moderate([ChatMessage(role="user", content=prompt)], locale, **how))


def logged(moderator):
    return moderator.store.decisions.recent(10)


def test_a_place_or_prompt_that_cannot_be_judged_is_refused_and_leaves_no_decision(small):
    moderator = small(max_prompt_chars=100)
    with pytest.raises(UnknownLocaleError):
        moderate(moderator, WINE, "not a locale")
    for prompt in ("", " \n", "x" * 101, "\x00"):
        with pytest.raises(BadPromptError):
            moderate(moderator, prompt)
    assert logged(moderator) == []


def test_every_verdict_is_in_the_decision_log_as_returned(small):
    moderator = small()
    verdicts = [moderate(moderator, WINE), moderate(moderator, "a tree on a hill"), moderate(moderator, WINE)]
    assert logged(moderator) == verdicts[::-1]
    assert len({verdict.id for verdict in verdicts}) == 3


def test_a_follow_up_that_we_blocked_does_not_block_the_next_one(small):
    moderator, turns = small(), [ChatMessage(role="user", content="a woman on a beach")]

    def follow_up(reply, text):
        turns.extend([ChatMessage(role="assistant", content=reply), ChatMessage(role="user", content=text)])
        return asyncio.run(moderator.moderate(turns, "ar-SA", Detector.NEAREST))

    blocked = follow_up("a woman on a beach", "add a drawing that explains how to build a bomb")
    assert blocked.action is Action.BLOCK
    assert follow_up(blocked.message, "add a tree on a hill").prompt == "a woman on a beach. add a tree on a hill"


def test_a_rewrite_is_safe_by_the_same_policy_and_keeps_the_rest(small):
    moderator = small()
    verdict = moderate(moderator, WINE, detector=Detector.NEAREST)
    assert (verdict.action, verdict.status) == (Action.REWRITE, Status.OK)
    assert not re.search("wine|wein", verdict.safe_prompt, re.IGNORECASE)
    assert "woman" in verdict.safe_prompt
    assert 0.5 < verdict.fidelity <= 1
    assert moderate(moderator, verdict.safe_prompt).action is Action.ALLOW


@pytest.mark.parametrize(("fail_open", "action"), [(False, Action.BLOCK), (True, Action.ALLOW)])
def test_a_detector_that_fails_blocks_unless_fail_open_is_set_and_is_logged(small, monkeypatch, fail_open, action):
    moderator = small(fail_open=fail_open)

    async def fail(*_):
        raise RuntimeError

    monkeypatch.setattr("agent.moderator.read_prompt", fail)
    verdict = moderate(moderator, "a tree on a hill")
    assert (verdict.status, verdict.action) == (Status.ERROR, action)
    assert logged(moderator) == [verdict]


def test_a_reading_for_measuring_is_not_logged(small):
    moderator = small()
    reading = asyncio.run(moderator.read(WINE, moderator.policies["ar-SA"], Detector.NEAREST))
    assert [violation.rule_id for violation in reading.violations] == ["alcohol"]
    assert logged(moderator) == []


@pytest.fixture(scope="module")
def score(data_dir: Path):
    """The neighbours' risk of a prompt in Saudi Arabia."""
    moderator = open_moderator(Settings(data_dir=data_dir))
    return lambda prompt: asyncio.run(moderator.read(prompt, moderator.policies["ar-SA"], Detector.NEAREST)).score


@pytest.mark.slow
@pytest.mark.parametrize("how", ["zero-width", "mathematical", "base64", "url", "rot13", "spaced"])
@pytest.mark.parametrize("prompt", ["a woman with a wine glass on a beach", "a man with a bowl of fruit on a beach"])
def test_an_obfuscated_prompt_is_judged_like_its_plain_text(score, how: str, prompt: str) -> None:
    assert score(OBFUSCATIONS[how](prompt)) == pytest.approx(score(prompt), abs=0.01)


@pytest.mark.slow
def test_a_violation_in_either_the_raw_or_the_normalised_text_counts(score) -> None:
    assert score("a wine g1ass on a table, sunset over the sea") >= 0.5
    assert score("a table with a 🍷 on it") >= 0.5


@pytest.mark.parametrize(
    ("prompt", "offence", "kept"),
    [
        ("a woman holding a w1ne g1ass in a red room", "w1ne", ["woman", "red room"]),
        ("a woman holding a ｗｉｎｅ glass in a red room", "ｗｉｎｅ", ["woman", "red room"]),
        ("🌳 a woman holding a wιne glass in a red room", "wιne", ["woman", "red room"]),
        ("a woman holding a w\u200bi\u200bn\u200be glass in a red room", "w\u200bi", ["woman", "red room"]),
        ("a woman holding a wine glass in a red room", "wine", ["woman", "red room"]),
    ],
)
def test_spans_are_slices_of_the_prompt_and_the_rewrite_keeps_the_scene(small, prompt, offence, kept):
    verdict = moderate(small(), prompt, detector=Detector.NEAREST)
    spans = [span for violation in verdict.violations for span in violation.spans]
    assert verdict.action is Action.REWRITE
    assert all(verdict.prompt[span.start : span.end] == span.text for span in spans)
    assert any(offence in span.text for span in spans)
    assert all(words in verdict.safe_prompt for words in kept)
    assert offence not in verdict.safe_prompt


@pytest.mark.parametrize(
    "prompt",
    [
        'a woman holding a "wine glass" on a beach',
        'a man drinking "wine"',
        "ein Mann trinkt „Wein“ am Strand",
        "a woman holding a “wine glass” on a beach",
        "a woman (with a wine glass) on a beach",
        "beach, woman, wine glass, sunset",
        "would you draw a woman holding a wine glass?",
    ],
)
def test_no_offending_word_is_left_over_by_a_rewrite(small, prompt):
    verdict = moderate(small(), prompt, detector=Detector.NEAREST)
    assert verdict.action is Action.REWRITE
    assert "wine" not in verdict.safe_prompt
    assert verdict.safe_prompt.count('"') % 2 == 0
    assert verdict.safe_prompt.count("“") == verdict.safe_prompt.count("”")
