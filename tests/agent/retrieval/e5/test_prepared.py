"""The encoder's parts are derived once. Nothing in their place on disk can break a start or change a vector."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.retrieval.e5 import prepared as module
from agent.retrieval.e5.model import E5
from agent.retrieval.encoder import Vectors

TEXTS = ["a woman holding a wine glass", "رجل يحمل سيفا", "夜の街で酒を飲む男"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the parts of an earlier start."""
    folder = tmp_path_factory.mktemp("cache")
    E5(folder)
    return folder


@pytest.fixture(scope="module")
def vectors(folder: Path) -> Vectors:
    return E5(folder).encode(TEXTS)


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Has one element for each time that the parts were derived."""
    times, derive = list[None](), module._derived
    monkeypatch.setattr(module, "_derived", lambda weights: (times.append(None), derive(weights))[1])
    return times


def test_a_second_start_loads_the_parts_and_derives_nothing(folder: Path, vectors: Vectors, derived: list[None]):
    np.testing.assert_array_equal(E5(folder).encode(TEXTS), vectors)
    assert derived == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not an archive"),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: path.write_bytes(path.read_bytes()[:1_000_000] + b"\xff" + path.read_bytes()[1_000_001:]),
    ],
    ids=["empty", "text", "truncated", "a wrong byte"],
)
def test_a_damaged_file_is_noted_and_replaced(
    spoil: Callable[[Path], object], vectors: Vectors, derived: list[None], tmp_path: Path, caplog
):
    E5(tmp_path)
    (path,) = tmp_path.iterdir()
    spoil(path)
    np.testing.assert_array_equal(E5(tmp_path).encode(TEXTS), vectors)
    assert "damaged" in caplog.text
    E5(tmp_path)
    assert derived == [None, None]
    assert list(tmp_path.iterdir()) == [path]


def test_parts_of_other_weights_or_older_code_are_replaced(
    monkeypatch: pytest.MonkeyPatch, derived: list[None], tmp_path: Path, caplog
):
    with monkeypatch.context() as patched:
        patched.setattr(module, "_origin", lambda: b"another version")
        E5(tmp_path)
    E5(tmp_path)
    E5(tmp_path)
    assert derived == [None, None]
    assert caplog.text == ""


def test_if_nothing_can_be_kept_the_start_continues(vectors: Vectors, derived: list[None], tmp_path: Path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    for _ in range(2):
        np.testing.assert_array_equal(E5(tmp_path / "taken").encode(TEXTS), vectors)
    assert derived == [None, None]
