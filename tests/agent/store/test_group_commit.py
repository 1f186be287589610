"""Waiting items are committed together; each caller gets the result of its own item."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from agent.settings import Settings
from agent.store.group_commit import GroupCommit
from agent.store.store import Store
from propriety.verdict import Verdict


class Disk:
    """Writes once `may_write` is set; refuses `bad`, and everything while it is `gone`."""

    def __init__(self) -> None:
        self.commits, self.may_write, self.begun, self.gone = list[list[str]](), threading.Event(), 0, False

    def write(self, items: Sequence[str]) -> None:
        self.begun += 1
        assert self.may_write.wait(10)
        if self.gone:
            raise OperationalError("INSERT", {}, Exception("no disk"))
        if "bad" in items:
            raise ValueError("no item")
        self.commits.append(list(items))


async def results_of(commits: GroupCommit[str], disk: Disk, first: str, *others: str) -> list[BaseException | None]:
    """The result of each caller; the others add their items while the first is being written."""
    tasks = [asyncio.create_task(commits.add(first))]
    while not disk.begun:
        await asyncio.sleep(0.001)
    tasks += [asyncio.create_task(commits.add(other)) for other in others]
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    disk.may_write.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_items_added_during_a_commit_are_committed_together_before_any_caller_returns() -> None:
    disk = Disk()
    assert asyncio.run(results_of(GroupCommit(disk.write), disk, "1", "2", "3", "4")) == [None] * 4
    assert disk.commits == [["1"], ["2", "3", "4"]]


def test_an_item_that_cannot_be_written_does_not_stop_the_others() -> None:
    disk = Disk()
    results = asyncio.run(results_of(GroupCommit(disk.write), disk, "1", "2", "bad", "4"))
    assert [type(one) for one in results] == [type(None), type(None), ValueError, type(None)]
    assert disk.commits == [["1"], ["2"], ["4"]]


def test_an_unavailable_database_fails_all_callers_at_once_and_later_commits_succeed() -> None:
    disk, commits = Disk(), GroupCommit[str](lambda items: disk.write(items))
    disk.gone = True
    results = asyncio.run(results_of(commits, disk, "1", "2", "3"))
    assert [type(one) for one in results] == [OperationalError] * 3
    assert disk.begun == 2
    disk.gone = False
    asyncio.run(commits.add("4"))
    assert disk.commits == [["4"]]


def test_a_cancelled_caller_delays_nobody_and_its_item_is_kept() -> None:
    disk = Disk()

    async def leave() -> None:
        commits = GroupCommit(disk.write)
        staying, leaving = (asyncio.create_task(commits.add(item)) for item in ("stays", "leaves"))
        await asyncio.sleep(0.01)
        leaving.cancel()
        disk.may_write.set()
        await staying
        await commits.add("later")

    asyncio.run(leave())
    assert sorted(item for commit in disk.commits for item in commit) == ["later", "leaves", "stays"]


def test_a_hundred_concurrent_verdicts_are_logged_each_with_its_tenant(
    empty_url: str, verdict: Callable[[str], Verdict]
) -> None:
    log = Store(Settings(database_url=empty_url)).decisions

    async def write() -> None:
        commits = GroupCommit(log.write_all)
        await asyncio.gather(*(commits.add((verdict(f"verdict-{n}"), f"tenant-{n % 3}")) for n in range(100)))

    asyncio.run(write())
    assert [log.read(f"verdict-{n}", f"tenant-{n % 3}") for n in range(100)] == [
        verdict(f"verdict-{n}") for n in range(100)
    ]
    assert log.read("verdict-1", "tenant-2") is None
    log.database.dispose()


def test_verdicts_written_together_are_either_all_kept_or_none(
    empty_url: str, verdict: Callable[[str], Verdict]
) -> None:
    log = Store(Settings(database_url=empty_url)).decisions
    with pytest.raises(IntegrityError):
        log.write_all([(verdict("verdict-0"), ""), (verdict("verdict-1"), ""), (verdict("verdict-1"), "")])
    assert log.recent(5) == []
    log.database.dispose()
