"""Commands that judge many prompts: they wait for the LLM, and log each kind of message once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from agent.judge.patience import Patience, working
from agent.terminal.console import WRONG, errors, fail


class _Once(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.logged: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        first = record.msg not in self.logged
        self.logged.add(record.msg)
        return first


AllowDegraded = Annotated[
    bool, typer.Option("--allow-degraded", help="Accept what the neighbours decide where the LLM does not answer.")
]


def report_degraded(count: int, what: str, allowed: bool) -> None:
    """Say how many of `what` the LLM should have judged and did not. Unless that is allowed, end with status 1."""
    if not count:
        return
    errors.print(f"{count} {what} are degraded: the LLM did not answer, so the neighbours alone decided", style="red")
    if not allowed:
        fail("Run the same command again once it answers, or accept this with --allow-degraded.", WRONG)


@contextmanager
def offline_work() -> Iterator[None]:
    """A context for judging many prompts. They wait for a slow LLM, and a missing LLM is logged once, not for each."""
    log, once = logging.getLogger("propriety"), _Once()
    log.addFilter(once)
    try:
        with working(Patience.OFFLINE):
            yield
    finally:
        log.removeFilter(once)
