"""SAFREE's projection of text embeddings (Yoon et al. 2024, arXiv 2410.12761). It needs no training.

If the prompt without a token is further from the concepts' subspace, that token refers to them. Its embedding is
projected orthogonally to that subspace, and then onto the span of the prompt's own tokens. The projection acts in all
steps. The paper's other two parts, which choose the steps and re-weight attention by frequency, are not implemented.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

ALPHA = 0.01  # α of the paper: how much further than the average without another token


@torch.no_grad()
def project(pipe: Any, prompts: Sequence[str], concepts: Sequence[str]) -> Tensor:
    """The prompts' embeddings, in which tokens that refer to the concepts are projected: (prompts, tokens, width).

    Args:
        pipe: a Stable Diffusion pipeline with one CLIP text encoder.
        concepts: phrases whose pooled embeddings span the subspace to avoid.
    """
    onto_concepts = _projector(torch.stack([_encode(pipe, concept)[1] for concept in concepts]))
    return torch.stack([_safe_embedding(pipe, prompt, onto_concepts) for prompt in prompts])


def _safe_embedding(pipe: Any, prompt: str, onto_concepts: Tensor) -> Tensor:
    hidden, _, ids = _encode(pipe, prompt)
    words = range(1, min(int((ids == pipe.tokenizer.eos_token_id).int().argmax()), len(ids)))
    if len(words) < 2:
        return hidden
    masks = torch.ones(len(words), len(ids), dtype=torch.long, device=ids.device)
    masks[torch.arange(len(words)), torch.tensor(words)] = 0
    without = pipe.text_encoder(ids.expand(len(words), -1), attention_mask=masks).pooler_output
    distances = (without.float() - without.float() @ onto_concepts).norm(dim=-1)
    others = (distances.sum() - distances) / (len(words) - 1)
    onto_prompt = _projector(without)
    for word in (distances > (1 + ALPHA) * others).nonzero().flatten().tolist():
        embedding = hidden[words[word]].float()
        hidden[words[word]] = ((embedding - embedding @ onto_concepts) @ onto_prompt).to(hidden)
    return hidden


def _encode(pipe: Any, text: str) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states (tokens, width), pooled embedding (width,) and token ids (tokens,)."""
    length = pipe.tokenizer.model_max_length
    ids = pipe.tokenizer(text, padding="max_length", truncation=True, max_length=length, return_tensors="pt").input_ids
    ids = ids.to(pipe.text_encoder.device)
    output = pipe.text_encoder(ids)
    return output.last_hidden_state[0].clone(), output.pooler_output[0], ids[0]


def _projector(rows: Tensor) -> Tensor:
    """The projection onto the span of vectors (n, width), as a matrix to multiply from the right."""
    rows = rows.float()
    projector: Tensor = torch.linalg.pinv(rows) @ rows
    return projector
