"""The decision log keeps what was decided."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import IntegrityError

from agent.record import DecisionLog
from agent.schema import Action, Verdict

Make = Callable[[str], Verdict]


@pytest.fixture
def url(empty_url: str) -> str:
    return empty_url


@pytest.fixture
def log(url: str) -> Iterator[DecisionLog]:
    log = DecisionLog(url)
    yield log
    log.close()


def test_a_verdict_is_read_back_as_it_was_written(log: DecisionLog, url: str, verdict: Make) -> None:
    log.write(verdict("verdict-1"))
    again = DecisionLog(url)
    assert again.read("verdict-1") == verdict("verdict-1")
    assert again.recent(5) == [verdict("verdict-1")]
    again.close()


@pytest.mark.parametrize("unknown", ["verdict-2", "", "VERDICT-1", "' or 1=1 --", "x" * 10_000, "قلعة"])
def test_an_unknown_id_reads_nothing(log: DecisionLog, unknown: str, verdict: Make) -> None:
    log.write(verdict("verdict-1"))
    assert log.read(unknown) is None


def test_recent_gives_the_newest_first_and_no_more_than_asked(log: DecisionLog, verdict: Make) -> None:
    assert log.recent(3) == []
    for number in range(5):
        log.write(verdict(f"verdict-{number}"))
    assert [kept.id for kept in log.recent(2)] == ["verdict-4", "verdict-3"]
    assert [len(log.recent(limit)) for limit in (0, 1, 5, 100)] == [0, 1, 5, 5]


def test_threads_and_a_second_log_write_at_once_and_nothing_is_lost(log: DecisionLog, url: str, verdict: Make) -> None:
    other = DecisionLog(url)  # with connections of its own, as another process has
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: (log, other)[n % 2].write(verdict(f"verdict-{n}")), range(60)))
    other.close()
    assert {kept.id for kept in log.recent(100)} == {f"verdict-{n}" for n in range(60)}


def test_a_verdict_is_never_overwritten(log: DecisionLog, verdict: Make) -> None:
    log.write(verdict("verdict-1"))
    with pytest.raises(IntegrityError):
        log.write(verdict("verdict-1").model_copy(update={"action": Action.BLOCK}))
    assert log.read("verdict-1") == verdict("verdict-1")


def test_a_tenant_reads_its_own_verdicts_and_no_other_s(log: DecisionLog, verdict: Make) -> None:
    log.write(verdict("verdict-1"), "acme")
    assert log.read("verdict-1", "acme") == verdict("verdict-1")
    assert log.read("verdict-1", "apex") is None
    assert log.read("verdict-1") is None
