"""Two policies differ in rules, effects and decisions."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from agent.authoring.diff import compare_decisions, compare_rules
from agent.moderator import Moderator
from agent.policy.files import load_policies

WINE, TREE = "a woman holding a wine glass", "a tree on a hill"


def test_a_rule_that_one_side_lacks_is_added_or_dropped(small_policies: Path) -> None:
    policies = load_policies(small_policies)
    (added,) = compare_rules(policies["base"], policies["ar-SA"])
    assert (added.rule_id, added.before, added.after) == ("alcohol", None, ("medium", "rewrite"))
    assert added.differs_in == ["rule added"]
    (dropped,) = compare_rules(policies["ar-SA"], policies["base"])
    assert (dropped.before, dropped.after, dropped.differs_in) == (("medium", "rewrite"), None, ["rule dropped"])
    assert compare_rules(policies["base"], policies["base"]) == []


def test_a_rule_of_both_sides_may_differ_in_effect_and_wording(folder: Path) -> None:
    stricter = "  - {id: weapons, severity: critical, definition: Any bomb.}\n"
    with (folder / "ar-SA.yaml").open("a", encoding="utf-8") as file:
        file.write(stricter)
    policies = load_policies(folder)
    weapons = compare_rules(policies["base"], policies["ar-SA"])[1]
    assert (weapons.before, weapons.after) == (("high", "block"), ("critical", "block"))
    assert weapons.differs_in == ["effect", "definition"]


def test_the_prompts_that_are_decided_differently_are_found_in_order(
    small_policies: Path, open_over: Callable[[Path], Moderator], loop: asyncio.Runner
) -> None:
    moderator, counted = open_over(small_policies), []
    prompts = [WINE, TREE, f"{WINE} in the rain"]
    comparing = compare_decisions(moderator, prompts, "en", "ar-SA", done=lambda: counted.append(1))
    differences = loop.run(comparing)
    assert [difference.prompt for difference in differences] == [WINE, f"{WINE} in the rain"]
    assert (differences[0].before.action, differences[0].after.action) == ("allow", "rewrite")
    assert len(counted) == 3
