"""`propriety index`: the concepts' vectors, and what the nearest-neighbour detector sees in a prompt."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Column, Table

from agent.policy.concept_bank import ConceptBank, load_bank
from agent.policy.files import load_policies
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.policy.model import Policy
from agent.policy.source import PolicyError
from agent.prompt.normalise import variants
from agent.retrieval.concepts import concepts_under
from agent.retrieval.encoder import Encoder, load_encoder
from agent.retrieval.index import ConceptIndex, IndexedBank
from agent.retrieval.vectors import kept_vectors, vectors_file
from agent.settings import Settings
from agent.terminal.console import console, fail, progress_bar, read_settings

app = typer.Typer(no_args_is_help=True, help="Encode the concept bank, and look up what a prompt is near to.")

AT_ONCE = 32


@app.command()
def build() -> None:
    """Encode the concepts that have no vector yet, and say how many each policy has and where the vectors lie.

    The first start of any command does the same without a bar, so this is for images and machines that are set up
    beforehand. After an interruption it goes on where it was.

    Example: propriety index build

    Exit status: 0 all is encoded; 2 a policy or the concept bank is wrong; 130 interrupted.
    """
    settings = read_settings()
    policies, bank, encoder = _loaded(settings)
    concepts = {locale: concepts_under(policy, bank) for locale, policy in policies.items()}
    texts = {concept.text: None for rows in concepts.values() for concept in rows}
    with kept_vectors(settings.data_dir, encoder) as known, progress_bar("Encoding") as progress:
        missing = [text for text in texts if text not in known]
        task = progress.add_task("", total=len(missing))
        for start in range(0, len(missing), AT_ONCE):
            batch = missing[start : start + AT_ONCE]
            known.update(zip(batch, encoder.encode(batch), strict=True))
            progress.advance(task, len(batch))
    table = Table("policy", "concepts", "unsafe there")
    for locale, rows in concepts.items():
        table.add_row(locale, str(len(rows)), str(sum(concept.rule_id is not None for concept in rows)))
    console.print(table)
    path = vectors_file(settings.data_dir, encoder)
    console.print(
        f"{len(missing)} of {len(texts)} phrases encoded by {encoder.name}; the vectors lie in {path}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="The prompt.")],
    locale: Annotated[str | None, typer.Option(help="BCP-47 locale, such as ar-SA; else `default_locale`.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Windows shown for each rule.")] = 3,
) -> None:
    """Show for each rule which words of a prompt lie nearest to which concept, and so why it was caught or was not.

    Similarities are cosines. `safe` is the similarity to the nearest concept that is safe under the policy, and the
    margin is what the unsafe one is nearer by: above 0 the words are on the unsafe side, and the detector's probability
    rises with it. Mend what is wrongly caught with a safe phrase in concepts/, what is missed with an unsafe one.

    Example: propriety index search --locale ar-SA "a woman holding a wine glass on a beach"

    Exit status: 0 shown; 2 the text is empty, or the locale, a policy or the concept bank is wrong.
    """
    settings = read_settings()
    if not text.strip():
        raise typer.BadParameter("is empty", param_hint="TEXT")
    policies, bank, encoder = _loaded(settings)
    try:
        policy = lookup(policies, locale or settings.default_locale)[1]
    except UnknownLocaleError as error:
        fail(error)
    with kept_vectors(settings.data_dir, encoder) as known:
        index = ConceptIndex(policy, IndexedBank(bank, encoder, known))
    for reading in variants(text):
        if reading != text:
            console.print(f"Read as: {reading}", markup=False, highlight=False, soft_wrap=True)
        console.print(_table(index, policy, reading, top))


def _table(index: ConceptIndex, policy: Policy, text: str, top: int) -> Table:
    table = Table(Column("rule", overflow="fold"), "margin", "similarity", "safe", "words", "nearest unsafe concept")
    found = index.search(text).windows
    for rule_id, windows in sorted(found.items(), key=lambda item: -item[1][0].margin):
        for window in windows[:top]:
            figures = (window.margin, window.similarity, window.similarity - window.margin)
            table.add_row(rule_id, *(f"{figure:.3f}" for figure in figures), window.span.text, window.concept.text)
        table.add_section()
    if far := [rule.id for rule in policy.rules if rule.id not in found]:
        table.caption = f"Nothing near: {', '.join(far)}"
    return table


def _loaded(settings: Settings) -> tuple[dict[str, Policy], ConceptBank, Encoder]:
    try:
        return load_policies(settings.policies_dir), load_bank(settings.policies_dir), load_encoder(settings.encoder)
    except PolicyError as error:
        fail(error)
