"""Logged prompts are decided again under a changed policy, and nothing else changes."""

import asyncio
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.authoring.replay import Concerned, concerned_by, replay, transitions, unlogged
from agent.moderator import Moderator
from agent.open_moderator import open_moderator
from agent.policy.files import load_policies
from agent.policy.model import Policy
from agent.settings import Settings
from agent.store.sealing import HASHED
from propriety.verdict import ChatMessage, Status, Verdict

WINE, TREE = "a woman holding a wine glass", "a tree on a hill"
LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def draft(small_policies: Path, tmp_path: Path) -> Path:
    """ar-SA without its rule on alcohol."""
    path = tmp_path / "draft.yaml"
    text = (small_policies / "ar-SA.yaml").read_text(encoding="utf-8")
    path.write_text(text[: text.index("rules:")] + "rules: []\n", encoding="utf-8")
    return path


@pytest.fixture
def changed(small_policies: Path, draft: Path) -> dict[str, Policy]:
    return load_policies(small_policies, instead=draft)


@pytest.fixture
def make(verdict: Callable[[str], Verdict]) -> Callable[..., Verdict]:
    """Makes a verdict with these fields."""
    return lambda **fields: verdict("verdict-1").model_copy(update=fields)


def prompts(concerned: Concerned) -> list[tuple[str, str, int]]:
    return [(prompt.verdict.locale, prompt.verdict.prompt, prompt.times) for prompt in concerned.prompts]


def test_only_prompts_under_the_changed_policy_are_concerned(
    changed: dict[str, Policy], make: Callable[..., Verdict]
) -> None:
    logged = [
        make(prompt=WINE, locale="ar-SA"),
        make(prompt=WINE, locale="en-US"),
        make(prompt=TREE, locale="ar-SA"),
        make(prompt=WINE, locale="ar-SA"),
        make(prompt="failed", locale="ar-SA", status=Status.ERROR),
        make(prompt="gone", locale="ar-SA-x-removed"),
        make(prompt=f"{HASHED}12", locale="ar-SA"),
        make(prompt=f"{HASHED}34", locale="en-US"),
    ]
    concerned = concerned_by("ar-SA", changed, logged)
    assert prompts(concerned) == [("ar-SA", WINE, 2), ("ar-SA", TREE, 1)]
    assert concerned.unreadable == 1
    assert prompts(concerned_by("ar-SA", changed, logged, limit=1)) == [("ar-SA", WINE, 2)]


def test_a_change_of_base_concerns_every_place(changed: dict[str, Policy], make: Callable[..., Verdict]) -> None:
    logged = [make(prompt=WINE, locale=locale) for locale in ("ar-SA", "en-US")]
    assert prompts(concerned_by("base", changed, logged)) == [("ar-SA", WINE, 1), ("en-US", WINE, 1)]


@pytest.fixture
def in_use(small_policies: Path, open_over: Callable[[Path], Moderator], loop: asyncio.Runner) -> Moderator:
    """A moderator that has decided three times under ar-SA."""
    moderator = open_over(small_policies)
    for prompt in (WINE, WINE, TREE):
        loop.run(moderator.moderate([ChatMessage(role="user", content=prompt)], "ar-SA"))
    return moderator


def test_prompts_are_decided_again_and_nothing_is_logged(
    in_use: Moderator, changed: dict[str, Policy], loop: asyncio.Runner
) -> None:
    before = in_use.store.decisions.recent(10)
    concerned, counted = concerned_by("ar-SA", changed, in_use.store.decisions.since(LONG_AGO)), []
    with unlogged(in_use.settings) as scratch:
        moderator = open_moderator(scratch, changed)
        with moderator.store:
            replayed = loop.run(replay(moderator, concerned.prompts, done=lambda: counted.append(1)))
    assert [(prompt.before.prompt, prompt.after.action, prompt.changed, prompt.times) for prompt in replayed] == [
        (TREE, "allow", False, 1),
        (WINE, "allow", True, 2),
    ]
    assert transitions(replayed) == {("rewrite", "allow"): 2, ("allow", "allow"): 1}
    assert len(counted) == 2
    assert in_use.store.decisions.recent(10) == before


def test_a_prompt_that_is_too_long_by_now_is_left_out(
    in_use: Moderator, changed: dict[str, Policy], loop: asyncio.Runner
) -> None:
    concerned = concerned_by("ar-SA", changed, in_use.store.decisions.since(LONG_AGO))
    shorter: Settings = in_use.settings.model_copy(update={"max_prompt_chars": len(TREE)})
    with unlogged(shorter) as scratch:
        moderator = open_moderator(scratch, changed)
        with moderator.store:
            replayed = loop.run(replay(moderator, concerned.prompts))
    assert [prompt.before.prompt for prompt in replayed] == [TREE]
