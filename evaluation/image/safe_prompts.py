"""The safe prompts of an evaluation: from the prompt file, or from the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.policy.lookup import lookup
from agent.settings import Settings
from agent.terminal.journal import append, earlier
from agent.terminal.loading import load_moderator
from agent.terminal.offline import offline_work
from agent.terminal.progress import each
from evaluation.image.case import Case
from evaluation.image.prompt_file import Row
from propriety.verdict import Action, ChatMessage, Status, Strict


class SafePrompt(Strict):
    """What may be drawn for a prompt: `safe_prompt` is null if it is blocked, and the prompt itself if it is allowed.

    status: whether the LLM took part.
    by: the policy and models that decided; empty for a file.
    """

    prompt: str
    safe_prompt: str | None
    status: Status
    by: str


def from_file(rows: Sequence[Row]) -> dict[str, SafePrompt]:
    """By row id. Where the file has no safe prompt, the prompt is drawn as it is."""
    return {
        row.id: SafePrompt(prompt=row.prompt, safe_prompt=row.safe_prompt or row.prompt, status=Status.OK, by="")
        for row in rows
    }


def from_agent(
    rows: Sequence[Row], settings: Settings, locale: str, folder: Path, part: str
) -> tuple[dict[str, SafePrompt], str]:
    """By row id, and which policy and models decided.

    Decisions are kept in the folder and reused, except those made without the LLM.

    Args:
        folder: for the decision log and the journal.
        part: suffix of their names, so that shards do not share a file; empty for no shard.

    Raises:
        UnknownLocaleError: the locale is malformed or unregistered.
        BadPromptError: a prompt is too long.
        JournalError: the journal contains other lines, or decisions by another policy or model.
    """
    log = f"sqlite:///{(folder / f'decisions{part}.db').resolve()}"
    moderator = load_moderator(settings.model_copy(update={"database_url": log}))
    policy = lookup(moderator.policies, locale)[1]
    by = f"{policy.locale} {policy.hash[:12]} {settings.encoder}+{settings.llm_model}"
    journal = folder / f"prompts{part}.jsonl"
    journals = [journal] if part else sorted(folder.glob("prompts*.jsonl"))
    decided = {line.prompt: line for path in journals for line in earlier(path, SafePrompt, by)}
    missing = list(dict.fromkeys(row.prompt for row in rows if row.prompt not in decided))
    with moderator.store, journal.open("ab") as file, offline_work():

        async def moderate(prompt: str) -> None:
            verdict = await moderator.moderate([ChatMessage(role="user", content=prompt)], locale)
            safe = prompt if verdict.action is Action.ALLOW else verdict.safe_prompt
            decided[prompt] = SafePrompt(prompt=prompt, safe_prompt=safe, status=verdict.status, by=by)
            if verdict.status is Status.OK:
                append(file, decided[prompt])

        asyncio.run(each("Moderating", missing, moderate))
    return {row.id: decided[row.prompt] for row in rows}, by


def cases_of(rows: Sequence[Row], safe_prompts: Mapping[str, SafePrompt], pictures_per_row: int) -> list[Case]:
    """The cases of each row, with `safe_prompts` by row id."""
    cases = []
    for row in rows:
        safe = safe_prompts[row.id].safe_prompt
        changed = None if safe == row.prompt else safe
        cases += [Case(row, (row.seed + i) % 2**32, changed, blocked=safe is None) for i in range(pictures_per_row)]
    return cases
