"""`propriety policy lint`: what is wrong with the files, and what is unsound in them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.table import Column, Table

from agent.judge.errors import LLMUnavailableError
from agent.moderator import Moderator
from agent.policy.concept_bank import load_bank
from agent.policy.model import Policy, Rule
from agent.retrieval.concepts import concepts_under
from agent.terminal.console import (
    console,
    fail,
    load_moderator,
    noted_once,
    policy_of,
    progress_bar,
    read_policies,
    read_settings,
)
from propriety.verdict import Category, Detector


class Finding(NamedTuple):
    """Something that loads, and yet is unsound."""

    locale: str
    where: str
    problem: str


def lint(
    locale: Annotated[str | None, typer.Argument(help="One locale; else every one.")] = None,
    policies: Annotated[
        Path | None, typer.Option("--policies", help="Folder of policy files; else `policies_dir`.")
    ] = None,
    judge: Annotated[
        bool, typer.Option("--judge", help="Ask the LLM too: a second or two for each example and safe concept.")
    ] = False,
) -> None:
    """Check every file. A file that does not load is named with line and what was expected, and no other is read.

    Then, of those that load: rules that no test reaches, tests that stand in the bank or among the examples, messages
    that are missing in the place's language, phrases that are both safe and unsafe, safe concepts that break the same
    policy, and with --judge examples that the LLM, which does not see them then, decides otherwise.

    Example: propriety policy lint ar-SA --judge

    Exit status: 0 all are sound; 1 a file is wrong, or something in it unsound; 2 the locale is malformed or
    unregistered, or the LLM does not answer.
    """
    loaded = read_policies(policies)
    chosen = [policy_of(loaded, locale)] if locale else [policy for policy in loaded.values() if not policy.audience]
    settings = read_settings(policies)
    moderator, bank = load_moderator(settings, loaded), load_bank(settings.policies_dir)
    findings = [
        finding
        for policy in chosen
        for finding in (
            *_untested(policy, loaded),
            *_looked_up(policy, [concept.text for concept in concepts_under(policy, bank)]),
            *_untranslated(policy),
            *_on_both_sides(policy, [(concept.text, concept.rule_id) for concept in concepts_under(policy, bank)]),
        )
    ]
    try:
        with noted_once():
            findings += asyncio.run(_judged(moderator, chosen, judge))
    except LLMUnavailableError as error:
        fail(f"{error}; start one with `propriety serve llm`, or leave --judge out")
    if findings:
        table = Table("policy", Column("where", overflow="fold"), Column("what is unsound", overflow="fold"))
        for finding in findings:
            table.add_row(*finding)
        console.print(table)
    typer.echo(f"{len(chosen)} policies and the concept bank load; {len(findings)} findings")
    raise typer.Exit(1 if findings else 0)


def _untested(policy: Policy, loaded: dict[str, Policy]) -> Iterator[Finding]:
    """Rules that no test names, here or in a parent. What protects minors has none, since no such text is kept."""
    family = [policy, *(loaded[name] for name in policy.lineage if name in loaded)]
    reached = {test.expect.rule for member in family for test in member.tests}
    for rule in policy.rules:
        if rule.id not in reached and rule.category is not Category.CHILD_SEXUAL_EXPLOITATION:
            yield Finding(policy.locale, rule.id, "no test reaches it")


def _looked_up(policy: Policy, texts: list[str]) -> Iterator[Finding]:
    known = {text.casefold() for text in texts}
    for test in policy.tests:
        if test.prompt.casefold() in known:
            yield Finding(policy.locale, "tests", f"{test.prompt!r} stands in the bank or among the examples")


def _untranslated(policy: Policy) -> Iterator[Finding]:
    said = {rule.id: rule.message for rule in policy.rules}
    said |= {"message.rewrite": policy.message.rewrite, "message.block": policy.message.block}
    for where, texts in said.items():
        if policy.language not in texts:
            yield Finding(policy.locale, where, f"no message in the place's language, {policy.language!r}")


def _on_both_sides(policy: Policy, rows: list[tuple[str, str | None]]) -> Iterator[Finding]:
    safe = {text for text, rule_id in rows if rule_id is None}
    for text, rule_id in rows:
        if rule_id is not None and text in safe:
            yield Finding(policy.locale, rule_id, f"{text!r} is both safe and unsafe in the bank or the examples")


async def _judged(moderator: Moderator, policies: list[Policy], judge: bool) -> list[Finding]:
    detector, findings = None if judge else Detector.NEAREST, []
    with progress_bar("Checking") as progress:
        for policy in progress.track(policies):
            for rule in policy.rules:
                for text in rule.safe_concepts:
                    reading = await moderator.read(text, policy, detector)
                    for violation in reading.violations:
                        problem = f"its safe concept {text!r} breaks {violation.rule_id}"
                        findings.append(Finding(policy.locale, rule.id, problem))
                findings += await _contradicted(moderator, policy, rule) if judge else []
    return findings


async def _contradicted(moderator: Moderator, policy: Policy, rule: Rule) -> list[Finding]:
    examples = rule.examples
    findings = []
    for broken, texts in ((True, examples.violating), (False, examples.allowed)):
        for text in texts:
            others = examples.model_copy(
                update={
                    "violating": [t for t in examples.violating if t != text],
                    "allowed": [t for t in examples.allowed if t != text],
                }
            )
            risk = await moderator.ask(policy, rule.model_copy(update={"examples": others}), text)
            if (risk >= 0.5) is not broken:
                side = "violating" if broken else "allowed"
                findings.append(
                    Finding(
                        policy.locale,
                        rule.id,
                        f"the judge decides otherwise ({risk:.2f}) on the {side} example {text!r}",
                    )
                )
    return findings
