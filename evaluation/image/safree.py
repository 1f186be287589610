"""SAFREE's projection (Yoon et al. 2024, arXiv 2410.12761): no training, in the space of text embeddings.

A token without which the prompt is further from the concepts' subspace speaks of them; its embedding is projected off
that subspace, and back into the one that the prompt's own tokens span. The paper's other two parts, which choose in how
many steps that is done and attend anew by frequency, are left out: it is done in all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

ALPHA = 0.01  # of the paper: how much further than without another token, on average, is a sign


@torch.no_grad()
def projected(pipe: Any, prompts: Sequence[str], concepts: Sequence[str]) -> Tensor:
    """The prompts' embeddings with those of tokens that speak of the concepts projected, (prompts, tokens, width).

    Args:
        pipe: a Stable Diffusion pipeline of one CLIP text encoder.
        concepts: phrases, whose pooled embeddings span what is to be left.
    """
    off = _projector(torch.stack([_encoded(pipe, concept)[1] for concept in concepts]))
    return torch.stack([_safe(pipe, prompt, off) for prompt in prompts])


def _safe(pipe: Any, prompt: str, off: Tensor) -> Tensor:
    hidden, _, ids = _encoded(pipe, prompt)
    words = range(1, min(int((ids == pipe.tokenizer.eos_token_id).int().argmax()), len(ids)))
    if len(words) < 2:
        return hidden
    masks = torch.ones(len(words), len(ids), dtype=torch.long, device=ids.device)
    masks[torch.arange(len(words)), torch.tensor(words)] = 0
    without = pipe.text_encoder(ids.expand(len(words), -1), attention_mask=masks).pooler_output
    distances = (without.float() - without.float() @ off).norm(dim=-1)
    others = (distances.sum() - distances) / (len(words) - 1)
    own = _projector(without)
    for word in (distances > (1 + ALPHA) * others).nonzero().flatten().tolist():
        embedding = hidden[words[word]].float()
        hidden[words[word]] = ((embedding - embedding @ off) @ own).to(hidden)
    return hidden


def _encoded(pipe: Any, text: str) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states (tokens, width), pooled embedding (width,) and token ids (tokens,)."""
    length = pipe.tokenizer.model_max_length
    ids = pipe.tokenizer(text, padding="max_length", truncation=True, max_length=length, return_tensors="pt").input_ids
    ids = ids.to(pipe.text_encoder.device)
    output = pipe.text_encoder(ids)
    return output.last_hidden_state[0].clone(), output.pooler_output[0], ids[0]


def _projector(rows: Tensor) -> Tensor:
    """The projection onto the span of some vectors (n, width), to be multiplied from the right."""
    rows = rows.float()
    projector: Tensor = torch.linalg.pinv(rows) @ rows
    return projector
