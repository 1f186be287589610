"""Propriety's own prompts, `evaluation/prompts/`, judged: `python -m evaluation.judgement`.

Harmless artefacts of ten places under their own policies, harmless prompts that sound unsafe, prompts that break one
rule with the rule switched off and on, and conversations of several turns. Needs an LLM for `cascade` and `llm`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import TypeAdapter

from agent.moderator import Moderator
from agent.policy.model import Expectation, Policy
from agent.terminal.console import each, load_moderator, noted_once, policy_of, read_settings
from propriety.verdict import ChatMessage, Detector, Strict

PROMPTS = Path(__file__).parent / "prompts"
Item = TypeVar("Item")


class Prompt(Strict):
    """A prompt, and for some the place where it is asked and the rule that it breaks there."""

    id: str
    text: str
    lang: str
    label: str | None = None
    locale: str = "en-US"
    rule: str | None = None


class Conversation(Strict):
    """Several turns and what the policy must decide on the last."""

    id: str
    kind: str
    locale: str
    messages: list[ChatMessage]
    expect: Expectation


Wrong = dict[str, list[str]]
Counts = dict[str, int]


def read_prompts(name: str, form: type[Item]) -> list[Item]:
    """The rows of `evaluation/prompts/<name>.jsonl`, in order."""
    lines = (PROMPTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [TypeAdapter(form).validate_json(line) for line in lines if line.strip()]


async def judge(moderator: Moderator, detector: Detector | None) -> tuple[Counts, Wrong]:
    """How many prompts of each kind there are, and which of them came out otherwise than they should."""
    counts, wrong = defaultdict[str, int](int), defaultdict[str, list[str]](list)

    async def harmless(item: tuple[str, Prompt]) -> None:
        kind, prompt = item
        reading = await moderator.read(prompt.text, policy_of(moderator.policies, prompt.locale), detector)
        counts[kind] += 1
        if reading.violations:
            wrong[kind].append(f"{prompt.locale} {prompt.text!r}: {reading.violations[0].rule_id}")

    async def flipped(prompt: Prompt) -> None:
        policy = policy_of(moderator.policies, prompt.locale)
        on = await moderator.read(prompt.text, policy, detector)
        off = await moderator.read(prompt.text, _without(policy, str(prompt.rule)), detector)
        kind = "flips: the rule is on and broken, off and the prompt is allowed"
        counts[kind] += 1
        broken = [violation.rule_id for violation in on.violations]
        if prompt.rule not in broken or off.violations:
            still = [violation.rule_id for violation in off.violations]
            wrong[kind].append(f"{prompt.locale} {prompt.rule} {prompt.text!r}: on {broken}, off {still}")

    async def talked(conversation: Conversation) -> None:
        verdict = await moderator.moderate(conversation.messages, conversation.locale, detector)
        kind = f"conversations, {conversation.kind.replace('_', ' ')}"
        counts[kind] += 1
        if not conversation.expect.met_by(verdict):
            got = [verdict.action.value, *(violation.rule_id for violation in verdict.violations)]
            wrong[kind].append(f"{conversation.id} ({conversation.locale}) {verdict.prompt!r}: {got}")

    quiet = [("artefacts, under their own locale", prompt) for prompt in read_prompts("artefacts", Prompt)]
    quiet += [("harmless prompts that sound unsafe", prompt) for prompt in read_prompts("sounds_unsafe", Prompt)]
    await each("Harmless", quiet, harmless)
    await each("Flips", read_prompts("flips", Prompt), flipped)
    await each("Conversations", read_prompts("conversations", Conversation), talked)
    return counts, wrong


def _without(policy: Policy, rule_id: str) -> Policy:
    # Not model_copy, which would keep the hash of what it was copied from.
    return Policy.model_validate(
        {**policy.model_dump(), "rules": [rule.model_dump() for rule in policy.rules if rule.id != rule_id]}
    )


def main(
    detector: Annotated[Detector | None, typer.Option(help="Instead of the policies' own.")] = None,
    shown: Annotated[bool, typer.Option("--show", help="Name what came out otherwise than it should.")] = False,
) -> None:
    """Print how many of each kind came out otherwise than they should, as Markdown."""
    with noted_once():
        counts, wrong = asyncio.run(judge(load_moderator(read_settings()), detector))
    typer.echo("| prompts | how many | wrong | share |\n|---|---|---|---|")
    for kind, count in counts.items():
        typer.echo(f"| {kind} | {count} | {len(wrong[kind])} | {len(wrong[kind]) / count:.1%} |")
    for kind, lines in wrong.items() if shown else ():
        typer.echo("\n".join([f"\n{kind}", *(f"  {line}" for line in lines)]))


if __name__ == "__main__":
    typer.run(main)
