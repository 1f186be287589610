"""What is drawn instead of a prompt in an evaluation: as its file says, or as the agent decides."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.policy.lookup import lookup
from agent.settings import Settings
from agent.terminal.console import each, load_moderator, noted_once
from agent.terminal.journal import append, earlier
from propriety.verdict import Action, ChatMessage, Status, Strict

if TYPE_CHECKING:
    from evaluation.image.rows import Row


class Rewritten(Strict):
    """What the agent made of a prompt; `safe_prompt` is null where it is blocked, the prompt itself where allowed."""

    prompt: str
    safe_prompt: str | None
    status: Status
    by: str


def in_file(rows: Sequence[Row]) -> dict[str, Rewritten]:
    """What the file says of each row, by id; an empty safe prompt lets the prompt be drawn as it is."""
    return {
        row.id: Rewritten(prompt=row.prompt, safe_prompt=row.safe_prompt or row.prompt, status=Status.OK, by="")
        for row in rows
    }


def asked(
    rows: Sequence[Row], settings: Settings, locale: str | None, folder: Path, part: str
) -> tuple[dict[str, Rewritten], str]:
    """What the agent makes of each row, by id, and who it was. It is asked again where the LLM did not answer."""
    log = f"sqlite:///{(folder / f'decisions{part}.db').resolve()}"
    moderator = load_moderator(settings.model_copy(update={"database_url": log}))
    place = locale or settings.default_locale
    policy = lookup(moderator.policies, place)[1]
    by = f"{policy.locale} {policy.hash[:12]} {settings.encoder}+{settings.llm_model}"
    journal = folder / f"prompts{part}.jsonl"
    journals = [journal] if part else sorted(folder.glob("prompts*.jsonl"))
    said = {line.prompt: line for path in journals for line in earlier(path, Rewritten, by)}
    left = list(dict.fromkeys(row.prompt for row in rows if row.prompt not in said))
    with journal.open("ab") as file, noted_once():

        async def work(prompt: str) -> None:
            verdict = await moderator.moderate([ChatMessage(role="user", content=prompt)], place)
            safe = prompt if verdict.action is Action.ALLOW else verdict.safe_prompt
            line = Rewritten(prompt=prompt, safe_prompt=safe, status=verdict.status, by=by)
            said[prompt] = line
            if line.status is Status.OK:
                append(file, line)

        asyncio.run(each("Moderating", left, work))
    return {row.id: said[row.prompt] for row in rows}, f"the agent's under {by}"
