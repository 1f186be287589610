import datetime as dt

import pytest
from sqlalchemy import Engine, text

from agent.settings import Settings
from agent.store import batches as module
from agent.store.batch_work import Answer, BatchWork
from agent.store.batches import Batches, BatchRow
from agent.store.files import BulkError, FileRow, Files, Line

LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=3650)


@pytest.fixture
def files(database: Engine) -> Files:
    return Files(database, Settings())


@pytest.fixture
def batches(database: Engine) -> Batches:
    return Batches(database, Settings(batch_waiting_lines=5))


@pytest.fixture
def work(database: Engine, files: Files) -> BatchWork:
    return BatchWork(database, files)


def upload(files: Files, count: int = 3, tenant: str = "acme") -> FileRow:
    return files.add(tenant, "in.jsonl", [Line(number, "{}") for number in range(1, count + 1)])


def finish(batches: Batches, work: BatchWork, batch: BatchRow) -> BatchRow:
    taken = work.take(batch.id)
    assert taken is not None
    assert work.write(taken, [Answer(Line(number, "{}"), True) for number in range(1, batch.total + 1)])
    work.end(batch.id, "completed")
    found = batches.find(batch.tenant, batch.id)
    assert found is not None
    return found


def test_a_batch_is_visible_to_its_tenant_only(batches: Batches, files: Files) -> None:
    batch = batches.create("acme", upload(files), "/v1/moderations", {"a": "b"})
    found = batches.find("acme", batch.id)
    assert found is not None
    assert (found.status, found.notes, found.total) == ("validating", {"a": "b"}, 3)
    assert batches.find("apex", batch.id) is None
    assert not batches.cancel("apex", batch.id)
    assert batches.listed("apex", None, 9) == []


def test_waiting_lines_and_batches_are_bounded_until_they_finish(
    batches: Batches, work: BatchWork, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = batches.create("acme", upload(files), "/v1/moderations", None)
    with pytest.raises(BulkError, match="1 unfinished batches with 3 lines to do") as refused:
        batches.create("acme", upload(files), "/v1/moderations", None)
    assert refused.value.code == "too_many_waiting"
    assert batches.create("apex", upload(files, 3, "apex"), "/v1/moderations", None)
    finish(batches, work, first)
    assert batches.create("acme", upload(files), "/v1/moderations", None)
    monkeypatch.setattr(module, "MAX_OPEN", 1)
    with pytest.raises(BulkError):
        batches.create("acme", upload(files, 1), "/v1/moderations", None)


def test_a_file_that_an_unfinished_batch_needs_cannot_be_deleted(
    batches: Batches, work: BatchWork, files: Files
) -> None:
    file = upload(files)
    batch = batches.create("acme", file, "/v1/moderations", None)
    with pytest.raises(BulkError, match=batch.id) as refused:
        batches.delete(file)
    assert refused.value.code == "file_in_use"
    finish(batches, work, batch)
    batches.delete(file)
    assert files.find("acme", file.id) is None
    for call in (lambda: batches.delete(file), lambda: batches.create("acme", file, "/v1/moderations", None)):
        with pytest.raises(BulkError, match="just been deleted"):
            call()


def test_only_an_unfinished_batch_can_be_cancelled_and_the_first_time_is_kept(
    batches: Batches, work: BatchWork, files: Files
) -> None:
    batch = batches.create("acme", upload(files), "/v1/moderations", None)
    moments = set()
    for _ in range(2):
        assert batches.cancel("acme", batch.id)
        found = batches.find("acme", batch.id)
        assert found is not None
        assert found.status == "cancelling"
        moments.add(found.cancelling_at)
    assert len(moments) == 1
    work.end(batch.id, "cancelled")
    assert not batches.cancel("acme", batch.id)


def test_a_purge_deletes_old_batches_and_files_but_nothing_that_an_unfinished_batch_needs(
    batches: Batches, work: BatchWork, files: Files, database: Engine
) -> None:
    done = finish(batches, work, batches.create("acme", upload(files), "/v1/moderations", None))
    still = batches.create("acme", upload(files), "/v1/moderations", None)
    unused = upload(files)
    assert batches.purge(None) == 0
    assert batches.purge(dt.datetime.now(dt.UTC) - dt.timedelta(days=1)) == 0
    assert batches.purge(LATER) == 3
    assert (batches.find("acme", done.id), files.find("acme", unused.id)) == (None, None)
    assert finish(batches, work, still).completed == 3
    with database.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM file_lines")) == 6


def test_an_interrupted_upload_is_deleted_after_a_day_and_nothing_else(
    batches: Batches, files: Files, database: Engine
) -> None:
    kept, interrupted = upload(files), upload(files)
    with database.begin() as connection:
        connection.execute(text("UPDATE files SET status = 'uploaded' WHERE id = :id"), {"id": interrupted.id})
    assert batches.purge(None) == 0
    with database.begin() as connection:
        connection.execute(
            text("UPDATE files SET created_at = :then"), {"then": dt.datetime.now(dt.UTC) - dt.timedelta(days=2)}
        )
    assert batches.purge(None) == 1
    assert files.find("acme", kept.id) is not None
