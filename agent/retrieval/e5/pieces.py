"""The vocabulary of multilingual-e5-small as a SentencePiece model (arXiv 1808.06226)."""

from __future__ import annotations

from typing import Any

from sentencepiece import sentencepiece_model_pb2

from agent.retrieval.e5.weights import Weights

proto: Any = sentencepiece_model_pb2  # generated, and without type hints


def pieces(weights: Weights) -> bytes:
    """The serialised model. It only cuts a text into pieces; spaces and characters are replaced before."""
    model, kinds = proto.ModelProto(), proto.ModelProto.SentencePiece
    for number, (piece, score) in enumerate(weights.vocabulary()):
        kind = kinds.UNKNOWN if number == weights.unknown else kinds.NORMAL
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = proto.TrainerSpec.UNIGRAM
    model.trainer_spec.unk_id = weights.unknown
    normaliser = model.normalizer_spec
    normaliser.name = "identity"
    normaliser.add_dummy_prefix = normaliser.remove_extra_whitespaces = normaliser.escape_whitespaces = False
    serialised: bytes = model.SerializeToString()
    return serialised
