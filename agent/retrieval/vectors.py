"""Vectors of the concepts, kept on disk: encoding the bank is what costs at each start."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import numpy as np

from agent.retrieval.encoder import Encoder, Vector

log = logging.getLogger("propriety")

SAME_ENCODER = 0.999  # cosine of one text's kept and fresh vector; below it the encoder was changed under its name


def vectors_file(data_dir: Path, encoder: Encoder) -> Path:
    """Where the vectors of that encoder lie; its name is escaped, since it may be a path or a hub id."""
    return data_dir / "index" / f"{quote(encoder.name, safe='')}.npz"


@contextmanager
def kept_vectors(data_dir: Path, encoder: Encoder) -> Iterator[dict[str, Vector]]:
    """Vectors by text, as they lie on disk; what is added is kept when the block ends, however it ends.

    A file that is damaged, foreign or of another version of the encoder is noted in the log and built anew. A folder
    that cannot be written to is noted too, and nothing is kept.
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
            raise ValueError(f"they are not those of the encoder {encoder.name} as it is now")
    except FileNotFoundError:
        return {}
    except Exception as error:  # a damaged file raises whatever zip, zlib and numpy's parser make of it
        log.warning("the concepts are encoded anew, because %s cannot be used: %s", path, error)
        return {}
    return dict(zip(texts, vectors, strict=True))


def _write(path: Path, known: dict[str, Vector]) -> None:
    """Put in place in one step: of two processes that write, the last one's file stays, and it is whole."""
    unfinished = path.with_name(f".{uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("xb") as file:
                np.savez(file, texts=np.array(list(known)), vectors=np.stack(list(known.values())))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        log.warning("the concepts' vectors are not kept, each start encodes them: %s", error)
        return
    log.info("kept the vectors of %d concepts in %s", len(known), path)
