"""Each line of a batch is written once, however often the batch is taken and interrupted."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from agent.settings import Settings
from agent.store import batch_work as module
from agent.store.batch_work import Answer, BatchWork
from agent.store.batches import Batches, BatchRow
from agent.store.files import Files, Line


@pytest.fixture
def files(database: Engine) -> Files:
    return Files(database, Settings())


@pytest.fixture
def batches(database: Engine) -> Batches:
    return Batches(database, Settings())


@pytest.fixture
def work(database: Engine, files: Files) -> BatchWork:
    return BatchWork(database, files)


@pytest.fixture
def batch(batches: Batches, files: Files) -> BatchRow:
    file = files.add("acme", "in.jsonl", [Line(number, "{}") for number in range(1, 5)])
    return batches.create("acme", file, "/v1/moderations", None)


def answers(*numbers: int, ok: bool = True) -> list[Answer]:
    return [Answer(Line(number, f'"{number}"'), ok) for number in numbers]


def take(work: BatchWork, batch: BatchRow) -> BatchRow:
    found = work.take(batch.id)
    assert found is not None
    return found


def test_a_batch_is_held_by_one_process_until_it_writes_or_releases_it(work: BatchWork, batch: BatchRow) -> None:
    first = take(work, batch)
    assert (first.status, first.done) == ("in_progress", 0)
    assert work.take(batch.id) is None
    work.release(batch.id)
    assert work.write(take(work, batch), answers(1))
    assert take(work, batch).done == 1


def test_only_one_of_many_concurrent_takers_gets_the_batch(work: BatchWork, batch: BatchRow) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: work.take(batch.id), range(16)))
    assert len([one for one in found if one]) == 1


def test_a_process_that_does_not_renew_its_hold_is_presumed_dead(
    work: BatchWork, batch: BatchRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD", dt.timedelta())
    take(work, batch)
    assert work.take(batch.id) is not None
    monkeypatch.undo()
    work.hold(batch.id)
    assert work.take(batch.id) is None


def test_if_two_processes_answer_the_same_lines_the_second_writes_nothing(
    work: BatchWork, batch: BatchRow, files: Files
) -> None:
    slow = take(work, batch)
    work.release(batch.id)
    quick = take(work, batch)
    assert work.write(quick, [*answers(1), *answers(2, ok=False)])
    assert not work.write(slow, answers(1, 2, 3))
    assert batch.output_file_id is not None
    assert batch.error_file_id is not None
    assert [line.number for line in files.lines(batch.output_file_id, 0)] == [1]
    assert [line.number for line in files.lines(batch.error_file_id, 0)] == [2]
    again = take(work, batch)
    assert (again.completed, again.failed) == (1, 1)


def test_output_files_appear_when_the_batch_ends_and_empty_ones_are_deleted(
    work: BatchWork, batch: BatchRow, batches: Batches, files: Files
) -> None:
    assert work.write(take(work, batch), answers(1, 2, 3, 4))
    assert batch.output_file_id is not None
    assert files.find("acme", batch.output_file_id) is None
    work.end(batch.id, "completed")
    work.end(batch.id, "cancelled")
    ended = batches.find("acme", batch.id)
    assert ended is not None
    assert (ended.status, ended.error_file_id) == ("completed", None)
    assert ended.ended_at is not None
    output = files.find("acme", batch.output_file_id)
    assert output is not None
    assert output.lines == 4
    assert work.open() == []
    assert work.take(batch.id) is None
