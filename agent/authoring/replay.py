"""Decide logged prompts again under a changed policy. Nothing is served or logged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from agent.concurrency import map_in_order
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.policy.model import Policy
from agent.prompt.compose import BadPromptError
from agent.settings import Settings
from agent.store.sealing import HASHED
from propriety.verdict import Action, ChatMessage, Detector, Status, Verdict

if TYPE_CHECKING:
    from agent.moderator import Moderator


class LoggedPrompt(NamedTuple):
    """A prompt in a locale, its newest verdict, and how often it was decided there."""

    verdict: Verdict
    times: int


class Concerned(NamedTuple):
    """The logged prompts that a policy concerns, newest first; `unreadable` decisions hold only a hash of theirs."""

    prompts: list[LoggedPrompt]
    unreadable: int


class Replayed(NamedTuple):
    """A logged prompt, decided again."""

    before: Verdict
    after: Verdict
    times: int

    @property
    def changed(self) -> bool:
        return self.before.action is not self.after.action


def concerned_by(
    locale: str, policies: Mapping[str, Policy], logged: Iterable[Verdict], limit: int | None = None
) -> Concerned:
    """The different prompts that were decided under a locale's policy, or under one that inherits from it.

    Args:
        locale: of the changed policy.
        policies: the policies with the change, by locale.
        logged: verdicts, newest first.
        limit: at most this many different prompts.
    """
    newest: dict[tuple[str, str], Verdict] = {}
    times, unreadable = Counter[tuple[str, str]](), 0
    for verdict in logged:
        try:
            lineage = lookup(policies, verdict.locale)[1].lineage
        except UnknownLocaleError:  # its audience has been removed
            continue
        if locale not in lineage or verdict.status is Status.ERROR:
            continue
        if verdict.prompt.startswith(HASHED):
            unreadable += 1
            continue
        key = (verdict.locale, verdict.prompt)
        times[key] += 1
        newest.setdefault(key, verdict)
    return Concerned([LoggedPrompt(newest[key], times[key]) for key in islice(newest, limit)], unreadable)


@contextmanager
def unlogged(settings: Settings) -> Iterator[Settings]:
    """The same settings with an empty database, which is deleted at the end."""
    with TemporaryDirectory() as folder:
        yield settings.model_copy(update={"database_url": f"sqlite:///{folder}/replay.db"})


async def replay(
    moderator: Moderator,
    prompts: Iterable[LoggedPrompt],
    detector: Detector | None = None,
    done: Callable[[], None] | None = None,
) -> list[Replayed]:
    """Decide the prompts again, in their order. Prompts that are too long under today's settings are left out.

    Args:
        moderator: judges under the changed policies, with the settings of `unlogged`.
        prompts: the logged prompts.
        detector: instead of the policies' own.
        done: called after each prompt.
    """

    async def decide(logged: LoggedPrompt) -> Replayed | None:
        message = ChatMessage(role="user", content=logged.verdict.prompt)
        try:
            return Replayed(
                logged.verdict, await moderator.moderate([message], logged.verdict.locale, detector), logged.times
            )
        except BadPromptError:
            return None

    return [replayed for replayed in await map_in_order(prompts, decide, done) if replayed is not None]


def transitions(replayed: Iterable[Replayed]) -> Counter[tuple[Action, Action]]:
    """How many decisions went from each action to each."""
    counts = Counter[tuple[Action, Action]]()
    for prompt in replayed:
        counts[prompt.before.action, prompt.after.action] += prompt.times
    return counts
