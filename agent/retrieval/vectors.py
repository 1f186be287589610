"""Vectors of the concepts, kept on disk: encoding the bank is what makes a first start slow."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np

from agent.retrieval.encoder import Encoder, Vector
from agent.retrieval.replacing import replacing

log = logging.getLogger("propriety")

SAME_ENCODER = 0.999  # cosine of one text's kept and fresh vector; below it the encoder has changed under its name


def vectors_file(data_dir: Path, encoder: Encoder) -> Path:
    """The file of that encoder's vectors. The name is escaped, since it may be a path or a hub id."""
    return data_dir / "index" / f"{quote(encoder.name, safe='')}.npz"


@contextmanager
def kept_vectors(data_dir: Path, encoder: Encoder) -> Iterator[dict[str, Vector]]:
    """Vectors by text, as kept on disk. What is added is kept when the block ends, also if it ends with an error.

    A file that is damaged, foreign or of another version of the encoder is noted in the log and created again. If the
    folder cannot be written to, that is noted too, and nothing is kept.
    """
    path = vectors_file(data_dir, encoder)
    known = _read(path, encoder)
    before = len(known)
    try:
        yield known
    finally:
        if len(known) > before:
            _write(path, known)


def _read(path: Path, encoder: Encoder) -> dict[str, Vector]:
    try:
        with np.load(path, allow_pickle=False) as file:
            texts, vectors = file["texts"].tolist(), file["vectors"]
        fresh = encoder.encode(texts[:1])
        if vectors.dtype != fresh.dtype or vectors.shape != (len(texts), fresh.shape[1]):
            raise ValueError(f"vectors of shape {vectors.shape} and type {vectors.dtype}")
        if (
            not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
            or float(vectors[0] @ fresh[0]) < SAME_ENCODER
        ):
            raise ValueError(f"the encoder {encoder.name} now computes other vectors")
    except FileNotFoundError:
        return {}
    except Exception as error:  # a damaged file raises whatever zip, zlib and numpy's parser make of it
        log.warning("the concepts are encoded again, because %s cannot be used: %s", path, error)
        return {}
    return dict(zip(texts, vectors, strict=True))


def _write(path: Path, known: dict[str, Vector]) -> None:
    try:
        with replacing(path) as file:
            np.savez(file, texts=np.array(list(known)), vectors=np.stack(list(known.values())))
    except OSError as error:
        log.warning("the concepts' vectors cannot be kept, so each start encodes them: %s", error)
        return
    log.info("kept the vectors of %d concepts in %s", len(known), path)
