"""Teach the embedded LLM: `python -m agent.models.teaching.teach`. Three minutes on an H200, days on a CPU.

Fetches the model, trains an adapter on the lessons of `agent/models/teaching/lessons/` and writes it where `convert` takes it
from. Needs the extra `teach`.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from langchain_core.messages import BaseMessage

from agent.models.adapter import Taught, train
from agent.models.convert import ADAPTER, base_model, save_adapter
from agent.models.fetch import QWEN_CODER_1_5B, fetch
from agent.models.teaching.lessons import Exchange, editing, judging, telling
from agent.policy.concept_bank import load_bank
from agent.policy.files import load_policies
from agent.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROLES = {"system": "system", "human": "user", "ai": "assistant"}


def tokens(exchange: Exchange, tokenizer: PreTrainedTokenizerBase) -> Taught:
    """A conversation in the model's chat format (ChatML), its taught answers with the token that ends each."""
    ids, answers = list[int](), list[bool]()
    for number, message in enumerate(exchange.messages):
        taught = message.type == "ai" and number >= exchange.known
        for text, is_answer in _parts(message, taught):
            part = tokenizer.encode(text, add_special_tokens=False)
            ids += part
            answers += [is_answer] * len(part)
    return Taught(ids, answers)


def lessons(seed: int, settings: Settings) -> list[Exchange]:
    """All that is taught, in the order of one epoch."""
    rng, policies = random.Random(seed), load_policies(settings.policies_dir)
    return [*judging(rng), *telling(policies, load_bank(settings.policies_dir), rng), *editing(rng)]


def main(
    epochs: Annotated[int, typer.Option(min=1, help="How often each lesson is read.")] = 3,
    seed: Annotated[int, typer.Option(help="Of weights, order and samples.")] = 0,
    output: Annotated[Path, typer.Option(help="Where the adapter goes.")] = ADAPTER,
) -> None:
    """Train the adapter and write it; then delete the models' folder and run `make weights`, to have it merged."""
    import torch

    settings = Settings()
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = base_model(fetch(QWEN_CODER_1_5B, Path(folder)), Path(folder) / "base")
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    taught: Sequence[list[Taught]] = [
        [tokens(exchange, tokenizer) for exchange in lessons(seed + epoch, settings)] for epoch in range(epochs)
    ]
    save_adapter(train(model, taught, seed), output)
    typer.echo(f"The adapter is in {output}.")


def _parts(message: BaseMessage, taught: bool) -> list[tuple[str, bool]]:
    return [(f"<|im_start|>{ROLES[message.type]}\n", False), (f"{message.content}<|im_end|>", taught), ("\n", False)]


if __name__ == "__main__":
    typer.run(main)
