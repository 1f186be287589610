"""The low-rank adapter (LoRA, Hu et al. 2021, arXiv 2106.09685) that teaches the embedded LLM: trained, and merged."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

RANK, ALPHA, DROPOUT = 16, 32, 0.05
LEARNING_RATE, WARM_UP_STEPS = 2e-4, 10
TOKENS_AT_ONCE = 16384  # padded; 84 GB of GPU memory for 1.5 billion weights
MATRICES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PEFT_PREFIX = "base_model.model."


class Taught(NamedTuple):
    """A conversation as token ids, and which of them are an answer of the model; both of one length."""

    tokens: list[int]
    answer: list[bool]


def train(model: Any, epochs: Sequence[Sequence[Taught]], seed: int) -> dict[str, Tensor]:
    """Train an adapter on each epoch's conversations in turn, on the model's device.

    Args:
        model: a causal language model of transformers, in bfloat16; it keeps the adapter.
        epochs: the same lessons, in another order each time.
        seed: of initial weights, dropout and the order of batches.

    Returns:
        The adapter's matrices, `<module>.lora_A.weight` (rank, in) and `<module>.lora_B.weight` (out, rank), float32.
    """
    import torch
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    from tqdm import tqdm

    torch.manual_seed(seed)
    rng = random.Random(seed)
    low_rank = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=DROPOUT, target_modules=MATRICES)
    model = get_peft_model(model, low_rank)
    batches = [batch for epoch in epochs for batch in _batches(epoch, rng)]
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE, weight_decay=0)
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimiser,
        [
            torch.optim.lr_scheduler.LinearLR(optimiser, 0.1, total_iters=WARM_UP_STEPS),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, len(batches) - WARM_UP_STEPS)),
        ],
        milestones=[WARM_UP_STEPS],
    )
    model.train()
    for batch in (progress := tqdm(batches, desc="Teaching", unit="batch")):
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    model.eval()
    return {
        name.removeprefix(PEFT_PREFIX): weight.float().contiguous().cpu()
        for name, weight in get_peft_model_state_dict(model).items()
    }


def merged(name: str, weight: Tensor, adapter: Mapping[str, Tensor]) -> Tensor:
    """A matrix (out, in) of the model with what the adapter adds to it, in float32; as it is where that is nothing."""
    module = name.removesuffix(".weight")
    if (down := adapter.get(f"{module}.lora_A.weight")) is None:
        return weight
    return weight.float() + ALPHA / RANK * (adapter[f"{module}.lora_B.weight"] @ down)


def _batches(lessons: Sequence[Taught], rng: random.Random) -> Iterator[list[Taught]]:
    """Of similar length, so that little is padded, in any order; what teaches nothing is left out."""
    batches: list[list[Taught]] = []
    teaching = (lesson for lesson in lessons if any(lesson.answer))
    for lesson in sorted(teaching, key=lambda lesson: (len(lesson.tokens), rng.random())):
        if not batches or len(lesson.tokens) * (len(batches[-1]) + 1) > TOKENS_AT_ONCE:
            batches.append([])
        batches[-1].append(lesson)
    yield from rng.sample(batches, len(batches))


def _loss(model: Any, batch: Sequence[Taught]) -> Tensor:
    """Cross-entropy of the answers' tokens, each predicted from the tokens before it."""
    import torch
    from torch.nn.functional import cross_entropy

    longest = max(len(lesson.tokens) for lesson in batch)
    tokens = torch.zeros(len(batch), longest, dtype=torch.long)
    mask, answer = torch.zeros_like(tokens), torch.zeros_like(tokens, dtype=torch.bool)
    for row, lesson in enumerate(batch):
        tokens[row, : len(lesson.tokens)] = torch.tensor(lesson.tokens)
        answer[row, : len(lesson.tokens)] = torch.tensor(lesson.answer)
        mask[row, : len(lesson.tokens)] = 1
    tokens, mask, answer = (each.to(model.device) for each in (tokens, mask, answer))
    inner = model.get_base_model()
    hidden = inner.model(input_ids=tokens, attention_mask=mask).last_hidden_state
    predicted = inner.lm_head(hidden[:, :-1][answer[:, 1:]])
    return cross_entropy(predicted.float(), tokens[:, 1:][answer[:, 1:]])
