"""`python -m agent.models.teaching.teach`: train the adapter. Three minutes on an H200, days on a CPU.

It fetches the model, trains an adapter on the lessons in `agent/models/teaching/lessons/`, and writes the adapter to
the file that `convert` reads. It needs the extra `teach`.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.judge.client import Message
from agent.models.adapter import ADAPTER_FILE, save_adapter
from agent.models.convert import base_model
from agent.models.fetch import QWEN_CODER_1_5B, fetch
from agent.models.teaching.lessons import Lesson, bank_lessons, rewriting_lessons, sheet_lessons
from agent.models.teaching.train import TokenisedLesson, train
from agent.policy.concept_bank import load_bank
from agent.policy.files import load_policies
from agent.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROLES = {"system": "system", "human": "user", "ai": "assistant"}


def tokenise(lesson: Lesson, tokenizer: PreTrainedTokenizerBase) -> TokenisedLesson:
    """A lesson in the model's chat format (ChatML). Each taught answer includes the token that ends it."""
    ids, is_answer = list[int](), list[bool]()
    for number, message in enumerate(lesson.messages):
        taught = message.role == "ai" and number >= lesson.given
        for text, part_is_answer in _parts(message, taught):
            part = tokenizer.encode(text, add_special_tokens=False)
            ids += part
            is_answer += [part_is_answer] * len(part)
    return TokenisedLesson(ids, is_answer)


def all_lessons(seed: int, settings: Settings) -> list[Lesson]:
    """The lessons of one epoch."""
    rng, policies = random.Random(seed), load_policies(settings.policies_dir)
    bank = load_bank(settings.policies_dir)
    return [*sheet_lessons(rng), *bank_lessons(policies, bank, rng), *rewriting_lessons(rng)]


def main(
    epochs: Annotated[int, typer.Option(min=1, help="Number of passes over the lessons.")] = 3,
    seed: Annotated[int, typer.Option(help="Random seed for weights, order and samples.")] = 0,
    output: Annotated[Path, typer.Option(help="File to write the adapter to.")] = ADAPTER_FILE,
) -> None:
    """Train the adapter and write it. Then delete the folder `models` and run `make weights` to merge it."""
    import torch

    settings = Settings()
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = base_model(fetch(QWEN_CODER_1_5B, Path(folder)), Path(folder) / "base")
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    lessons = [
        [tokenise(lesson, tokenizer) for lesson in all_lessons(seed + epoch, settings)] for epoch in range(epochs)
    ]
    save_adapter(train(model, lessons, seed), output)
    typer.echo(f"Saved the adapter to {output}.")


def _parts(message: Message, taught: bool) -> list[tuple[str, bool]]:
    return [(f"<|im_start|>{ROLES[message.role]}\n", False), (f"{message.content}<|im_end|>", taught), ("\n", False)]


if __name__ == "__main__":
    typer.run(main)
