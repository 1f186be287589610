"""Train a low-rank adapter (LoRA, Hu et al. 2021, arXiv 2106.09685) on conversations."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.models.adapter import ALPHA, RANK

if TYPE_CHECKING:
    from torch import Tensor

DROPOUT = 0.05
LEARNING_RATE, WARM_UP_STEPS = 2e-4, 10
MAX_BATCH_TOKENS = 16384  # with padding; 84 GB of GPU memory for 1.5 billion weights
MATRICES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PEFT_PREFIX = "base_model.model."


class TokenisedLesson(NamedTuple):
    """A conversation as token ids, and for each token whether the model learns to write it; both of one length."""

    tokens: list[int]
    is_answer: list[bool]


def train(model: Any, epochs: Sequence[Sequence[TokenisedLesson]], seed: int) -> dict[str, Tensor]:
    """Train an adapter on each epoch's conversations in turn, on the model's device.

    Args:
        model: a causal language model of transformers, in bfloat16; the trained adapter stays in it.
        epochs: the lessons of each epoch.
        seed: for initial weights, dropout and the order of batches.

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


def _batches(lessons: Sequence[TokenisedLesson], rng: random.Random) -> Iterator[list[TokenisedLesson]]:
    """Group lessons of similar length, to save padding, and shuffle the batches; drop lessons without an answer."""
    batches: list[list[TokenisedLesson]] = []
    teaching = (lesson for lesson in lessons if any(lesson.is_answer))
    for lesson in sorted(teaching, key=lambda lesson: (len(lesson.tokens), rng.random())):
        if not batches or len(lesson.tokens) * (len(batches[-1]) + 1) > MAX_BATCH_TOKENS:
            batches.append([])
        batches[-1].append(lesson)
    yield from rng.sample(batches, len(batches))


def _loss(model: Any, batch: Sequence[TokenisedLesson]) -> Tensor:
    """Cross-entropy of the answers' tokens, each predicted from the tokens before it."""
    import torch
    from torch.nn.functional import cross_entropy

    longest = max(len(lesson.tokens) for lesson in batch)
    tokens = torch.zeros(len(batch), longest, dtype=torch.long)
    mask, answer = torch.zeros_like(tokens), torch.zeros_like(tokens, dtype=torch.bool)
    for row, lesson in enumerate(batch):
        tokens[row, : len(lesson.tokens)] = torch.tensor(lesson.tokens)
        answer[row, : len(lesson.tokens)] = torch.tensor(lesson.is_answer)
        mask[row, : len(lesson.tokens)] = 1
    tokens, mask, answer = (each.to(model.device) for each in (tokens, mask, answer))
    inner = model.get_base_model()
    hidden = inner.model(input_ids=tokens, attention_mask=mask).last_hidden_state
    predicted = inner.lm_head(hidden[:, :-1][answer[:, 1:]])
    return cross_entropy(predicted.float(), tokens[:, 1:][answer[:, 1:]])
