"""Vectors are encoded once, and no file in their place on disk can break a start."""

import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from agent.retrieval.encoder import Vectors
from agent.retrieval.vectors import kept_vectors, vectors_file


class ByLetter:
    """Encodes a text as its counts of letters, and records the texts it was given."""

    name = "letters/v1"

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift
        self.encoded: list[str] = []

    def encode(self, texts: list[str]) -> Vectors:
        self.encoded += texts
        counts = [np.bincount([(ord(c) + self.shift) % 8 for c in text], minlength=8) for text in texts]
        return np.array([count / np.linalg.norm(count) for count in counts], dtype=np.float32)


def fill(folder: Path, texts: list[str], encoder: ByLetter) -> None:
    with kept_vectors(folder, encoder) as known:
        for text in texts:
            if text not in known:
                known[text] = encoder.encode([text])[0]


def kept(folder: Path, encoder: ByLetter) -> dict[str, np.ndarray]:
    with kept_vectors(folder, encoder) as known:
        return dict(known)


def test_vectors_are_read_back_unchanged(tmp_path):
    encoder = ByLetter()
    fill(tmp_path, ["a tree", "ein Weinglas", "كأس نبيذ", "🍷"], encoder)
    read = kept(tmp_path, encoder)
    assert list(read) == ["a tree", "ein Weinglas", "كأس نبيذ", "🍷"]
    for text, vector in read.items():
        np.testing.assert_array_equal(vector, encoder.encode([text])[0])


def test_a_second_start_encodes_only_what_is_new(tmp_path):
    fill(tmp_path, ["a tree", "a hill"], ByLetter())
    second = ByLetter()
    fill(tmp_path, ["a tree", "a hill", "a lake"], second)
    assert second.encoded == ["a tree", "a lake"]  # the first text once, to recognise the encoder
    assert set(kept(tmp_path, ByLetter())) == {"a tree", "a hill", "a lake"}


def test_vectors_encoded_before_an_interruption_are_kept(tmp_path):
    class Interrupted(ByLetter):
        def encode(self, texts: list[str]) -> Vectors:
            if texts == ["a hill"]:
                raise KeyboardInterrupt
            return super().encode(texts)

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, ["a tree", "a hill"], Interrupted())
    assert set(kept(tmp_path, ByLetter())) == {"a tree"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no archive"),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"\x00\x00\x80\x3f", b"\x00\x00\x00\x3f")),
        lambda path: np.save(path.open("wb"), np.zeros(3)),
        lambda path: np.savez(path, other=np.zeros(3)),
        lambda path: np.savez(path, texts=np.array([]), vectors=np.zeros((0, 8), np.float32)),
        lambda path: np.savez(path, texts=np.array(["a tree"]), vectors=np.full((1, 8), np.nan, np.float32)),
        lambda path: np.savez(path, texts=np.array(["a tree"]), vectors=np.ones((1, 3), np.float32)),
        lambda path: np.savez(path, texts=np.array([{}]), vectors=np.ones((1, 8), np.float32)),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed file")
def test_an_unusable_file_is_noted_and_created_again(tmp_path, spoil, caplog):
    fill(tmp_path, ["a tree", "a"], ByLetter())
    path = vectors_file(tmp_path, ByLetter())
    spoil(path)
    assert kept(tmp_path, ByLetter()) == {}
    assert "encoded again" in caplog.text
    if path.is_file():
        fill(tmp_path, ["a tree"], ByLetter())
        assert set(kept(tmp_path, ByLetter())) == {"a tree"}


def test_vectors_of_a_changed_encoder_with_the_same_name_are_not_used(tmp_path, caplog):
    fill(tmp_path, ["a tree"], ByLetter())
    assert kept(tmp_path, ByLetter(shift=3)) == {}
    assert "letters/v1" in caplog.text


def test_an_unwritable_folder_is_noted_and_the_start_continues(tmp_path, caplog):
    (tmp_path / "index").write_text("a file where the folder should be")
    fill(tmp_path, ["a tree"], ByLetter())
    assert "cannot be kept" in caplog.text


def test_concurrent_writers_leave_one_whole_file_and_nothing_else(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    threads = [
        threading.Thread(target=fill, args=(tmp_path, [f"tree {i} of {n}" for i in range(200)], ByLetter()))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept(tmp_path, ByLetter())) >= 200
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["letters%2Fv1.npz"]
    assert caplog.text == ""
