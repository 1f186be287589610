"""The decision log returns what was written, by tenant, and hides prompts if configured."""

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.exc import IntegrityError

from agent.settings import Settings, Storage
from agent.store.decisions import DecisionLog, DecisionRow
from agent.store.sealing import SealError
from agent.store.store import Store
from propriety.verdict import Action, Verdict

Make = Callable[[str], Verdict]


@pytest.fixture
def url(empty_url: str) -> str:
    return empty_url


@pytest.fixture
def log(url: str) -> Iterator[DecisionLog]:
    log = Store(Settings(database_url=url)).decisions
    yield log
    log.database.dispose()


def test_a_verdict_is_read_back_as_it_was_written(log: DecisionLog, url: str, verdict: Make) -> None:
    log.write_all([(verdict("verdict-1"), "")])
    again = Store(Settings(database_url=url)).decisions
    assert again.read("verdict-1") == verdict("verdict-1")
    assert again.recent(5) == [verdict("verdict-1")]
    again.database.dispose()


@pytest.mark.parametrize("unknown", ["verdict-2", "", "VERDICT-1", "' or 1=1 --", "x" * 10_000, "قلعة"])
def test_an_unknown_id_reads_nothing(log: DecisionLog, unknown: str, verdict: Make) -> None:
    log.write_all([(verdict("verdict-1"), "")])
    assert log.read(unknown) is None


def test_recent_returns_the_newest_first_up_to_the_limit(log: DecisionLog, verdict: Make) -> None:
    assert log.recent(3) == []
    for number in range(5):
        log.write_all([(verdict(f"verdict-{number}"), "")])
    assert [kept.id for kept in log.recent(2)] == ["verdict-4", "verdict-3"]
    assert [len(log.recent(limit)) for limit in (0, 1, 5, 100)] == [0, 1, 5, 5]


def test_concurrent_writes_through_two_logs_lose_nothing(log: DecisionLog, url: str, verdict: Make) -> None:
    other = Store(Settings(database_url=url)).decisions  # with its own connections, like another process
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: (log, other)[n % 2].write_all([(verdict(f"verdict-{n}"), "")]), range(60)))
    other.database.dispose()
    assert {kept.id for kept in log.recent(100)} == {f"verdict-{n}" for n in range(60)}


def test_a_verdict_is_never_overwritten(log: DecisionLog, verdict: Make) -> None:
    log.write_all([(verdict("verdict-1"), "")])
    with pytest.raises(IntegrityError):
        log.write_all([(verdict("verdict-1").model_copy(update={"action": Action.BLOCK}), "")])
    assert log.read("verdict-1") == verdict("verdict-1")


def test_a_verdict_is_found_for_its_own_tenant_only(log: DecisionLog, verdict: Make) -> None:
    log.write_all([(verdict("verdict-1"), "acme")])
    assert log.read("verdict-1", "acme") == verdict("verdict-1")
    assert log.read("verdict-1", "apex") is None
    assert log.read("verdict-1") is None


KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OTHER_KEY = "YTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def stored(url: str) -> str:
    """All rows of the log, as text."""
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(select(DecisionRow)).all()
    engine.dispose()
    return str(rows)


def test_encrypted_verdicts_are_read_in_full_and_the_database_has_no_word_of_the_prompt(
    url: str, blocked: Verdict
) -> None:
    log = Store(Settings(database_url=url, prompt_storage=Storage.ENCRYPTED, prompt_key=KEY)).decisions
    log.write_all([(blocked, "")])
    assert log.read(blocked.id) == blocked
    assert "bomb" not in stored(url)
    log.database.dispose()
    for wrong in (OTHER_KEY, None):
        other = Store(Settings(database_url=url, prompt_key=wrong)).decisions
        with pytest.raises(SealError, match="PROPRIETY_PROMPT_KEY"):
            other.read(blocked.id)
        other.database.dispose()


def test_hashed_prompts_show_which_are_equal_and_nothing_else(url: str, blocked: Verdict) -> None:
    log = Store(Settings(database_url=url, prompt_storage=Storage.HASHED, prompt_key=KEY)).decisions
    log.write_all([(blocked, "")])
    log.write_all(
        [(blocked.model_copy(update={"id": "verdict-again", "action": Action.REWRITE, "safe_prompt": "a tree"}), "")]
    )
    first, again = log.read(blocked.id), log.read("verdict-again")
    assert first is not None
    assert again is not None
    assert first.prompt == again.prompt != blocked.prompt
    assert (first.locale, first.violations[0].rule_id) == (blocked.locale, "weapons")
    assert "bomb in" not in stored(url)
    assert "a tree" not in stored(url)
    assert "text='bomb'" not in str(first)
    log.database.dispose()


def test_verdicts_written_under_another_storage_setting_are_still_read(
    url: str, blocked: Verdict, verdict: Make
) -> None:
    for name, storage in (("verdict-1", Storage.CLEAR), ("verdict-2", Storage.ENCRYPTED)):
        log = Store(Settings(database_url=url, prompt_storage=storage, prompt_key=KEY)).decisions
        log.write_all([(verdict(name), "")])
        assert len(log.recent(9)) == int(name[-1])
        log.database.dispose()


def test_a_purge_deletes_older_verdicts_and_keeps_the_rest(log: DecisionLog, verdict: Make) -> None:
    log.write_all([(verdict("verdict-1"), "")])
    moment = dt.datetime.now(dt.UTC)
    log.write_all([(verdict("verdict-2"), "acme")])
    assert [entry.tenant for entry in log.entries(moment - dt.timedelta(days=1))] == ["", "acme"]
    assert log.purge(moment) == 1
    assert [(entry.tenant, entry.verdict.id) for entry in log.entries(moment)] == [("acme", "verdict-2")]
    assert list(log.entries(moment, "apex")) == []


def test_the_time_of_a_decision_is_utc_whatever_the_database_s_time_zone(url: str, verdict: Make) -> None:
    Store(Settings(database_url=url)).close()
    engine = create_engine(url)
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET timezone TO 'Asia/Tokyo'")
    engine.dispose()
    log, before = Store(Settings(database_url=url)).decisions, dt.datetime.now(dt.UTC)
    log.write_all([(verdict("verdict-1"), "")])
    (entry,) = log.entries(before - dt.timedelta(hours=1))
    assert before <= entry.created_at <= dt.datetime.now(dt.UTC)
    log.database.dispose()
