"""Judge Propriety's own prompts, `evaluation/prompts/`: `python -m evaluation.judgement`.

They are harmless artefacts of ten places under their own policies, harmless prompts that sound unsafe, prompts that
break one rule (judged with that rule and without it), and conversations of several turns. `cascade` and `llm` need an
LLM.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Annotated

import typer

from agent.moderator import Moderator
from agent.policy.model import Policy
from agent.terminal.loading import load_moderator, policy_of, read_settings
from agent.terminal.offline import offline_work
from agent.terminal.progress import each
from evaluation.own_prompts import Conversation, Prompt, read_prompts
from propriety.verdict import Detector

Errors = dict[str, list[str]]
Counts = dict[str, int]


async def judge(moderator: Moderator, detector: Detector | None) -> tuple[Counts, Errors]:
    """How many prompts of each kind there are, and the wrong decisions among them."""
    counts, errors = defaultdict[str, int](int), defaultdict[str, list[str]](list)

    async def judge_harmless(item: tuple[str, Prompt]) -> None:
        kind, prompt = item
        reading = await moderator.read(prompt.text, policy_of(moderator.policies, prompt.locale), detector)
        counts[kind] += 1
        if reading.violations:
            errors[kind].append(f"{prompt.locale} {prompt.text!r}: {reading.violations[0].rule_id}")

    async def judge_flip(prompt: Prompt) -> None:
        policy = policy_of(moderator.policies, prompt.locale)
        on = await moderator.read(prompt.text, policy, detector)
        off = await moderator.read(prompt.text, without_rule(policy, str(prompt.rule)), detector)
        kind = "flips: the rule is broken when on, and the prompt is allowed when it is off"
        counts[kind] += 1
        broken_on, broken_off = ([violation.rule_id for violation in read.violations] for read in (on, off))
        if prompt.rule not in broken_on or broken_off:
            errors[kind].append(f"{prompt.locale} {prompt.rule} {prompt.text!r}: on {broken_on}, off {broken_off}")

    async def judge_conversation(conversation: Conversation) -> None:
        verdict = await moderator.moderate(conversation.messages, conversation.locale, detector)
        kind = f"conversations, {conversation.kind.replace('_', ' ')}"
        counts[kind] += 1
        if not conversation.expect.met_by(verdict):
            got = [verdict.action.value, *(violation.rule_id for violation in verdict.violations)]
            errors[kind].append(f"{conversation.id} ({conversation.locale}) {verdict.prompt!r}: {got}")

    harmless = [("artefacts, under their own locale", prompt) for prompt in read_prompts("artefacts", Prompt)]
    harmless += [("harmless prompts that sound unsafe", prompt) for prompt in read_prompts("sounds_unsafe", Prompt)]
    await each("Harmless", harmless, judge_harmless)
    await each("Flips", read_prompts("flips", Prompt), judge_flip)
    await each("Conversations", read_prompts("conversations", Conversation), judge_conversation)
    return counts, errors


def without_rule(policy: Policy, rule_id: str) -> Policy:
    """The policy with one rule removed."""
    # Not model_copy, which would keep the original's hash.
    return Policy.model_validate(
        {**policy.model_dump(), "rules": [rule.model_dump() for rule in policy.rules if rule.id != rule_id]}
    )


def main(
    detector: Annotated[Detector | None, typer.Option(help="Use this detector instead of each policy's own.")] = None,
    show: Annotated[bool, typer.Option("--show", help="List the wrong decisions.")] = False,
) -> None:
    """Print how many decisions of each kind are wrong, as Markdown."""
    with offline_work():
        counts, errors = asyncio.run(judge(load_moderator(read_settings()), detector))
    typer.echo("| prompts | how many | wrong | share |\n|---|---|---|---|")
    for kind, count in counts.items():
        typer.echo(f"| {kind} | {count} | {len(errors[kind])} | {len(errors[kind]) / count:.1%} |")
    for kind, lines in errors.items() if show else ():
        typer.echo("\n".join([f"\n{kind}", *(f"  {line}" for line in lines)]))


if __name__ == "__main__":
    typer.run(main)
