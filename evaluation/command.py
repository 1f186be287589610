"""What the commands of this folder share: their options, and how they begin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.moderator import Moderator
from agent.policy.model import Policy
from agent.terminal.console import fail, load_moderator, policy_of, read_settings
from evaluation.text import DataError, Sets, read_sets, sample

Data = Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of the sets, one *.jsonl each.")]
Locale = Annotated[str, typer.Option(help="BCP-47 locale.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the sample.")]
Output = Annotated[Path | None, typer.Option(dir_okay=False, help="Keep what is found here, and resume.")]


def begin(
    data: Path, names: list[str], labels: set[str], limit: int, seed: int, locale: str
) -> tuple[Sets, Moderator, Policy]:
    """The sampled rows of those labels, who judges them and under which policy; or the end of the command."""
    try:
        sets = sample(read_sets(data, names), limit, seed)
    except DataError as error:
        fail(error)
    moderator = load_moderator(read_settings())
    rows = {name: [row for row in those if row.label in labels] for name, those in sets.items()}
    return rows, moderator, policy_of(moderator.policies, locale)
