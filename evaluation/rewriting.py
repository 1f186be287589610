"""How well unsafe prompts are rewritten: `python -m evaluation.rewriting --data DIR --set NAME`.

Of the unsafe rows that the policy rewrites, the table shows how many get a safe prompt that the moderator accepts. Of
these safe prompts it shows how many the neighbours alone also accept, how similar they are to the original without its
offending words, how much longer they are, and how many keep the language. Needs an LLM.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import numpy as np
import py3langid  # type: ignore[import-untyped]
import typer

from agent.moderator import BadPromptError, Moderator
from agent.policy.model import Policy
from agent.retrieval.encoder import similarity
from agent.terminal.console import fail
from agent.terminal.journal import written
from agent.terminal.offline import offline_work
from agent.terminal.progress import each_missing
from evaluation.command import Data, Locale, Output, Seed, start
from evaluation.sets import Id, Row, Sets
from propriety.verdict import Action, ChatMessage, Detector, Status, Strict, Verdict

FAITHFUL = 0.8  # a fidelity from here on counts as faithful


class Rewritten(Strict):
    """A row that the policy rewrites. All but `set` and `id` are null if no safe prompt was found.

    longer: relative growth of the prompt, 0 for the same length.
    """

    set: str
    id: Id
    neighbours_agree: bool | None = None
    fidelity: float | None = None
    longer: float | None = None
    language_kept: bool | None = None


async def rewrite(moderator: Moderator, name: str, row: Row, policy: Policy) -> Rewritten | None:
    """The rewrite of a row; None if it is allowed, blocked for its severity, or not judged by the LLM."""
    try:
        verdict = await moderator.moderate([ChatMessage(role="user", content=row.text)], policy.tag, Detector.CASCADE)
    except BadPromptError:
        return None
    gravest = max((violation.severity for violation in verdict.violations), key=lambda s: s.rank, default=None)
    if gravest is None or policy.severities[gravest].action is not Action.REWRITE or verdict.status is not Status.OK:
        return None
    result = Rewritten(set=name, id=row.id)
    if verdict.safe_prompt is None:
        return result
    again = await moderator.read(verdict.safe_prompt, policy, Detector.NEAREST)
    return result.model_copy(
        update={
            "neighbours_agree": not again.violations,
            "fidelity": await asyncio.to_thread(similarity, moderator.encoder, _masked(verdict), verdict.safe_prompt),
            "longer": len(verdict.safe_prompt) / len(verdict.prompt) - 1,
            "language_kept": _language(verdict.safe_prompt) == _language(verdict.prompt),
        }
    )


def _masked(verdict: Verdict) -> str:
    text = verdict.prompt
    for violation in verdict.violations:
        for span in violation.spans:
            text = text.replace(span.text, " ")
    return text if text.strip() else verdict.prompt


def _language(text: str) -> str:
    return str(py3langid.classify(text)[0])


async def rewrite_all(moderator: Moderator, sets: Sets, policy: Policy, output: Path | None) -> list[Rewritten]:
    """Every row that is rewritten. Those in the file `output` are reused, and new ones are appended to it."""
    known = {(line.set, line.id): line for line in (written(output, Rewritten) if output else ())}
    items = {(name, row.id): (name, row) for name, rows in sets.items() for row in rows}
    # With all its languages, py3langid mistakes short English texts for rarer languages.
    py3langid.set_languages(sorted({policy.language for policy in moderator.policies.values()}))

    async def one(item: tuple[str, Row]) -> Rewritten | None:
        name, row = item
        return await rewrite(moderator, name, row, policy)

    await each_missing("Rewriting", items, known, output, one)
    return list(known.values())


def main(
    data: Data,
    sets: Annotated[list[str], typer.Option("--set", help="Set with unsafe rows. Repeatable.")],
    locale: Locale = "en-US",
    limit: Annotated[int, typer.Option(min=1, help="Maximum unsafe rows of each set.")] = 100,
    seed: Seed = 0,
    output: Output = None,
) -> None:
    """Print the shares as a Markdown table."""
    chosen, moderator, policy = start(data, sets, {"unsafe"}, limit, seed, locale)
    with offline_work():
        lines = asyncio.run(rewrite_all(moderator, chosen, policy, output))
    safe = [line for line in lines if line.fidelity is not None]
    if not safe:
        fail("this policy rewrites no row of these sets; name sets with more unsafe rows, or raise --limit")
    fidelity = np.array([line.fidelity for line in safe])
    longer = np.percentile([line.longer or 0.0 for line in safe], [5, 50, 95])
    for what, figure in {
        "unsafe rows that the policy rewrites": f"{len(lines)}",
        "a safe prompt was found": f"{len(safe) / len(lines):.1%}",
        "of those, safe for the neighbours alone too": f"{np.mean([line.neighbours_agree for line in safe]):.1%}",
        "language kept": f"{np.mean([line.language_kept for line in safe]):.1%}",
        f"fidelity at least {FAITHFUL}": f"{np.mean(fidelity >= FAITHFUL):.1%}, median {np.median(fidelity):.2f}",
        "longer, at 5, 50 and 95 %": ", ".join(f"{length:+.0%}" for length in longer),
    }.items():
        typer.echo(f"| {what} | {figure} |")


if __name__ == "__main__":
    typer.run(main)
