"""A policy's own tests pass or fail by the action, and by the rule if they name one."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from agent.authoring.own_tests import cases_of, run_cases
from agent.moderator import Moderator

TESTS = """\
tests:
  - {prompt: a woman holding a wine glass, expect: {action: rewrite, rule: alcohol}}
  - {prompt: a woman holding a wine glass, expect: {action: rewrite, rule: weapons}}
  - {prompt: a woman holding a wine glass, expect: {action: allow}}
  - {prompt: a tree on a hill, expect: {action: allow}}
"""


def test_every_case_is_run_and_reported_in_order(
    folder: Path, open_over: Callable[[Path], Moderator], loop: asyncio.Runner
) -> None:
    with (folder / "ar-SA.yaml").open("a", encoding="utf-8") as file:
        file.write(TESTS)
    moderator, counted = open_over(folder), []
    cases = cases_of(moderator.policies.values())
    results = loop.run(run_cases(moderator, cases, done=lambda: counted.append(1)))
    assert [result.passed for result in results] == [True, False, False, True]
    assert [(result.policy, result.test) for result in results] == cases
    assert len(counted) == 4
