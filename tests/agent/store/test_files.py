from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from agent.settings import Settings
from agent.store.files import PAGE, PIECE_CHARS, BulkError, Files, Line
from agent.store.sealing import SealError

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def lines(count: int) -> Iterator[Line]:
    return (Line(number, f'{{"قلعة": {number}}}') for number in range(1, count + 1))


def rows(database: Engine, table: str) -> int | None:
    with database.connect() as connection:
        return connection.scalar(text(f"SELECT count(*) FROM {table}"))


@pytest.fixture
def files(database: Engine) -> Files:
    return Files(database, Settings())


def test_a_file_is_read_back_unchanged_and_its_size_is_exact(files: Files) -> None:
    kept = files.add("acme", "in.jsonl", lines(PAGE + 3))
    content = b"".join(files.content(kept.id))
    assert content.decode() == "".join(f"{line.text}\n" for line in lines(PAGE + 3))
    assert (kept.bytes, kept.lines, kept.status) == (len(content), PAGE + 3, "processed")
    assert [line.number for line in files.lines(kept.id, 2, 2)] == [3, 4]


def test_a_file_of_long_lines_is_read_in_small_pieces(files: Files) -> None:
    long = [Line(number, f"{number}" + "x" * (PIECE_CHARS // 4)) for number in range(1, 30)]
    pieces = list(files.content(files.add("acme", "in.jsonl", iter(long)).id))
    assert b"".join(pieces).decode() == "".join(f"{line.text}\n" for line in long)
    assert max(map(len, pieces)) < 2 * PIECE_CHARS


def test_a_file_is_visible_to_its_tenant_only(files: Files) -> None:
    kept = files.add("acme", "in.jsonl", lines(1))
    assert files.find("acme", kept.id) is not None
    assert files.find("apex", kept.id) is None
    assert (files.listed("apex", None, 9), files.listed("apex", kept.id, 9)) == ([], [])


def test_files_are_listed_newest_first_page_by_page(files: Files) -> None:
    names = [files.add("acme", str(number), lines(1)).id for number in range(5)][::-1]
    assert [row.id for row in files.listed("acme", None, 2)] == names[:2]
    assert [row.id for row in files.listed("acme", names[1], 9)] == names[2:]
    assert files.listed("acme", names[-1], 9) == files.listed("acme", "unknown", 9) == []


def test_an_interrupted_upload_is_never_listed_and_leaves_nothing(files: Files, database: Engine) -> None:
    def broken() -> Iterator[Line]:
        yield from lines(PAGE * 2)
        assert files.listed("acme", None, 9) == []
        assert rows(database, "files") == 1
        raise BulkError("no", "invalid_file")

    with pytest.raises(BulkError):
        files.add("acme", "in.jsonl", broken())
    assert (rows(database, "files"), rows(database, "file_lines")) == (0, 0)


def test_lines_are_encrypted_unless_prompts_are_stored_in_clear(database: Engine) -> None:
    sealed = Files(database, Settings(prompt_storage="encrypted", prompt_key=KEY))
    kept = sealed.add("acme", "in.jsonl", [*lines(1), Line(2, "{}", "no قلعة")])
    assert sealed.lines(kept.id, 0) == [*lines(1), Line(2, "{}", "no قلعة")]
    with database.connect() as connection:
        assert "قلعة" not in str(connection.execute(text("SELECT * FROM file_lines")).all())
    with pytest.raises(SealError):
        list(Files(database, Settings()).content(kept.id))


def test_each_tenant_s_storage_is_bounded_separately(database: Engine) -> None:
    files = Files(database, Settings(files_mib=1))
    files.add("acme", "in.jsonl", [Line(1, "x" * (1 << 20))])
    with pytest.raises(BulkError, match="delete some") as refused:
        files.add("acme", "in.jsonl", lines(1))
    assert refused.value.code == "storage_full"
    assert files.add("apex", "in.jsonl", lines(1)).lines == 1
