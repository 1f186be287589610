"""Options that the commands of this folder share, and how they start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.moderator import Moderator
from agent.policy.model import Policy
from agent.terminal.console import fail
from agent.terminal.loading import load_moderator, policy_of, read_settings
from evaluation.sets import DataError, Sets, read_sets, sample

Data = Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of prompt sets, one *.jsonl each.")]
Locale = Annotated[str, typer.Option(help="BCP-47 locale.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the sample.")]
Output = Annotated[Path | None, typer.Option(dir_okay=False, help="Save results here, and resume from them.")]


def start(
    data: Path, names: list[str], labels: set[str], limit: int, seed: int, locale: str
) -> tuple[Sets, Moderator, Policy]:
    """A sample of the rows with these labels, the moderator, and the policy. Ends the command if one is unusable."""
    try:
        sets = sample(read_sets(data, names), limit, seed)
    except DataError as error:
        fail(error)
    moderator = load_moderator(read_settings())
    labelled = {name: [row for row in rows if row.label in labels] for name, rows in sets.items()}
    return labelled, moderator, policy_of(moderator.policies, locale)
