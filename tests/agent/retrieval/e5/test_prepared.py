"""The encoder's parts are derived once. Nothing in their place on disk can break a start or change a vector."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.retrieval.e5 import prepared as module
from agent.retrieval.e5.model import E5
from agent.retrieval.e5.prepared import Prepared, prepared, weights_file
from agent.retrieval.e5.weights import Weights

TEXTS = ["a woman holding a wine glass", "رجل يحمل سيفا", "夜の街で酒を飲む男"]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(weights_file())


@pytest.fixture(scope="module")
def parts(weights: Weights) -> Prepared:
    return module._derived(weights)


@pytest.fixture
def derived(parts: Prepared, monkeypatch: pytest.MonkeyPatch) -> list[Prepared]:
    """Has one element for each time that the parts were derived."""
    times = list[Prepared]()
    monkeypatch.setattr(module, "_derived", lambda weights: times.append(parts) or parts)
    return times


def test_a_second_start_loads_the_parts_and_derives_nothing(derived: list[Prepared], tmp_path: Path):
    first, second = E5(tmp_path), E5(tmp_path)
    assert len(derived) == 1
    np.testing.assert_array_equal(first.encode(TEXTS), second.encode(TEXTS))


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
    spoil: Callable[[Path], object], weights: Weights, parts: Prepared, derived: list[Prepared], tmp_path: Path, caplog
):
    prepared(weights, tmp_path)
    (path,) = tmp_path.iterdir()
    spoil(path)
    assert prepared(weights, tmp_path) == parts
    assert "damaged" in caplog.text
    assert prepared(weights, tmp_path) == parts
    assert len(derived) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_parts_of_other_weights_or_older_code_are_replaced(
    monkeypatch: pytest.MonkeyPatch, weights: Weights, parts: Prepared, derived: list[Prepared], tmp_path: Path, caplog
):
    with monkeypatch.context() as patched:
        patched.setattr(module, "_origin", lambda: b"another version")
        prepared(weights, tmp_path)
    assert prepared(weights, tmp_path) == prepared(weights, tmp_path) == parts
    assert len(derived) == 2
    assert caplog.text == ""


def test_if_nothing_can_be_kept_the_start_continues(
    weights: Weights, parts: Prepared, derived: list[Prepared], tmp_path: Path
):
    (tmp_path / "taken").write_text("a file where the folder should be")
    assert prepared(weights, tmp_path / "taken") == prepared(weights, tmp_path / "taken") == parts
    assert len(derived) == 2
