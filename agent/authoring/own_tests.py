"""Run the tests that a policy file has for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from agent.concurrency import map_in_order
from agent.policy.model import Policy, PolicyTest
from propriety.verdict import ChatMessage, Detector, Verdict

if TYPE_CHECKING:
    from agent.moderator import Moderator


class Case(NamedTuple):
    """A test, and the policy that it belongs to."""

    policy: Policy
    test: PolicyTest


class CaseResult(NamedTuple):
    """What became of a test."""

    policy: Policy
    test: PolicyTest
    verdict: Verdict

    @property
    def passed(self) -> bool:
        return self.test.expect.met_by(self.verdict)


def cases_of(policies: Iterable[Policy]) -> list[Case]:
    """The own tests of these policies, in order."""
    return [Case(policy, test) for policy in policies for test in policy.tests]


async def run_cases(
    moderator: Moderator,
    cases: Iterable[Case],
    detector: Detector | None = None,
    done: Callable[[], None] | None = None,
) -> list[CaseResult]:
    """Judge each test's prompt under its policy, and rewrite it where the policy says so. In the order of the cases.

    Args:
        moderator: judges by these policies.
        cases: the tests.
        detector: instead of the policies' own.
        done: called after each test.
    """

    async def run(case: Case) -> CaseResult:
        message = ChatMessage(role="user", content=case.test.prompt)
        return CaseResult(*case, await moderator.moderate([message], case.policy.tag, detector))

    return await map_in_order(cases, run, done)
